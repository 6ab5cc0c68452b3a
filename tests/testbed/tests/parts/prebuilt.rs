//! Prebuilt control planes: `KUBEBUILDER_ASSETS`, an installation, and downloads from an index on loopback.

use std::{
    fs::{self, File},
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use flate2::{Compression, write::GzEncoder};
use sha2::{Digest as _, Sha512};
use tempfile::TempDir;
use testbed::{
    ControlPlane, Options,
    control_plane::{Binaries, Sources},
};

/// Places of a test's own, all empty.
struct Places {
    folder: TempDir,
}

impl Places {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Nothing is set, nothing is downloaded.
    fn sources(&self) -> Sources {
        Sources {
            assets: None,
            cache: self.path("cache"),
            installed: self.path("installed"),
            index: None,
            patience: Duration::from_secs(20),
            path: self.path("path").into(),
        }
    }

    /// A program that prints this line.
    fn program(&self, name: &str, prints: &str) {
        let file = self.path(name);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        // By a shell: a program cannot be run while a child that is just being started holds it open for writing.
        let written = Command::new("/bin/sh")
            .args(["-c", r#"printf '#!/bin/sh\necho %s\n' "$2" > "$1" && chmod +x "$1""#, "sh"])
            .args([&file, Path::new(prints)])
            .status();
        assert!(written.unwrap().success());
    }

    fn etcd_and_kube_apiserver(&self, folder: &str, version: &str) {
        self.program(&format!("{folder}/etcd"), "");
        self.program(&format!("{folder}/kube-apiserver"), &format!("Kubernetes {version}"));
    }
}

/// What the first line of a request says, and how it is answered; `None`: never.
type Answers = dyn Fn(&str) -> Option<Vec<u8>> + Send + Sync;

/// A web server for files.
struct Index {
    address: SocketAddr,
    asked: Arc<AtomicU32>,
}

impl Index {
    fn start(answers: impl Fn(SocketAddr, &str) -> Option<Vec<u8>> + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let asked = Arc::new(AtomicU32::new(0));
        let count = asked.clone();
        let answers: Arc<Answers> = Arc::new(move |path: &str| answers(address, path));
        thread::spawn(move || {
            for stream in listener.incoming() {
                let (answers, count) = (answers.clone(), count.clone());
                thread::spawn(move || answer(&stream.unwrap(), &count, &*answers));
            }
        });
        Self { address, asked }
    }

    fn url(&self) -> String {
        format!("http://{}/index.yaml", self.address)
    }

    fn asked(&self) -> u32 {
        self.asked.load(Ordering::Relaxed)
    }
}

fn answer(mut stream: &TcpStream, count: &AtomicU32, answers: &Answers) {
    let mut lines = BufReader::new(stream).lines().map_while(Result::ok);
    let Some(first) = lines.next() else { return };
    assert!(lines.any(|line| line.is_empty()), "a request ends with an empty line");
    count.fetch_add(1, Ordering::Relaxed);
    let Some(body) = answers(first.split(' ').nth(1).unwrap()) else {
        // Open until the client gives up.
        let _ = stream.read(&mut [0]);
        return;
    };
    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
    let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(&body));
}

/// An index with one release, whose archive has this checksum.
fn index_of(archive: &str, hash: &str) -> Vec<u8> {
    let architecture = if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" };
    let name = format!("envtest-v1.33.0-linux-{architecture}.tar.gz");
    format!("releases:\n  v1.33.0:\n    {name}:\n      hash: {hash}\n      selfLink: {archive}\n").into()
}

fn checksum(bytes: &[u8]) -> String {
    Sha512::digest(bytes).iter().map(|byte| format!("{byte:02X}")).collect()
}

/// An archive as the Kubernetes project publishes it, of these programs.
fn archive(programs: &Binaries) -> Vec<u8> {
    let mut archive = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::none()));
    for file in [programs.etcd(), programs.kube_apiserver(), programs.kubectl()] {
        let name = Path::new("controller-tools/envtest").join(file.file_name().unwrap());
        archive.append_file(name, &mut File::open(file).unwrap()).unwrap();
    }
    archive.into_inner().unwrap().finish().unwrap()
}

#[tokio::test]
async fn a_downloaded_control_plane_starts_and_is_downloaded_once() {
    let programs = tokio::task::spawn_blocking(Binaries::find_or_build).await.unwrap().unwrap();
    let archive = archive(&programs);
    let hash = checksum(&archive);
    let index = Index::start(move |address, path| {
        Some(match path {
            "/index.yaml" => index_of(&format!("http://{address}/archive"), &hash),
            _ => archive.clone(),
        })
    });
    let places = Places::new();
    let sources = Sources { index: Some(index.url()), ..places.sources() };
    // Inside of a runtime, and on a thread that may block: both have to work.
    let found = sources.find().unwrap();
    assert!(found.origin().starts_with("downloaded, Kubernetes 1.33.0, "), "{}", found.origin());
    let again = tokio::task::spawn_blocking(move || sources.find()).await.unwrap().unwrap();
    assert!(again.origin().starts_with("downloaded or built before, "), "{}", again.origin());
    assert_eq!(index.asked(), 2, "the index and the archive, once");
    assert_eq!(again.kubectl(), places.path("cache/kubectl"));

    let options = Options { binaries: Some(again), ..Options::default() };
    let plane = ControlPlane::start(options).await.unwrap_or_else(|error| panic!("{error:#}"));
    let done = plane.kubectl(&["get", "namespace", "default"]).await.unwrap();
    assert!(done.ok, "{}", done.stderr);
}

#[test]
fn an_archive_with_another_checksum_is_refused() {
    let index = Index::start(|address, path| {
        Some(match path {
            "/index.yaml" => index_of(&format!("http://{address}/archive"), &checksum(b"published")),
            _ => b"replaced".to_vec(),
        })
    });
    let places = Places::new();
    let refusal = Sources { index: Some(index.url()), ..places.sources() }.find().unwrap_err();
    let refusal = format!("{refusal:#}");
    let expected = format!("has the checksum {}, ", checksum(b"replaced").to_lowercase());
    assert!(refusal.contains(&expected), "{refusal}");
    let left: Vec<_> =
        fs::read_dir(places.path("cache")).unwrap().map(|file| file.unwrap().file_name()).collect();
    assert_eq!(left, [".lock"]);
}

#[test]
fn an_archive_without_a_program_is_refused_by_name() {
    let empty = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::none()));
    let empty = empty.into_inner().unwrap().finish().unwrap();
    let hash = checksum(&empty);
    let index = Index::start(move |address, path| {
        Some(match path {
            "/index.yaml" => index_of(&format!("http://{address}/archive"), &hash),
            _ => empty.clone(),
        })
    });
    let places = Places::new();
    let refusal = Sources { index: Some(index.url()), ..places.sources() }.find().unwrap_err();
    assert!(format!("{refusal:#}").contains("/archive holds no kubectl"), "{refusal:#}");
}

#[test]
fn an_index_that_never_answers_is_given_up_and_not_asked_again_that_day() {
    let silent = Index::start(|_, _| None);
    let places = Places::new();
    let sources = Sources { index: Some(silent.url()), patience: Duration::from_secs(1), ..places.sources() };
    let since = Instant::now();
    let refusal = format!("{:#}", sources.find().unwrap_err());
    assert!(since.elapsed() < Duration::from_secs(15), "{:?}", since.elapsed());
    assert!(refusal.contains("timed out"), "{refusal}");

    let again = format!("{:#}", sources.find().unwrap_err());
    assert!(again.contains("timed out") && again.contains("cache/download-failed to try again"), "{again}");
    assert_eq!(silent.asked(), 1);

    // What failed is that index, not any other.
    let other = Index::start(|_, _| Some(b"releases: {}".to_vec()));
    let refusal = Sources { index: Some(other.url()), ..sources.clone() }.find().unwrap_err();
    assert!(format!("{refusal:#}").contains("has no archive for linux-"), "{refusal:#}");
    // This one failed at once, which is not worth remembering.
    Sources { index: Some(other.url()), ..sources }.find().unwrap_err();
    assert_eq!(other.asked(), 2);
}

#[test]
fn an_archive_that_never_comes_is_given_up_too() {
    let index = Index::start(|address, path| {
        (path == "/index.yaml").then(|| index_of(&format!("http://{address}/archive"), "00"))
    });
    let places = Places::new();
    let sources = Sources { index: Some(index.url()), patience: Duration::from_secs(1), ..places.sources() };
    let refusal = format!("{:#}", sources.find().unwrap_err());
    assert!(refusal.contains("/archive: ") && refusal.contains("timed out"), "{refusal}");
}

#[test]
fn assets_of_another_supported_version_are_used_with_a_kubectl_from_the_path() {
    let places = Places::new();
    places.etcd_and_kube_apiserver("assets", "v1.34.1");
    places.program("path/kubectl", "Client Version: v1.35.0");
    // They come before anything else, and what is in the cache is not complete.
    places.etcd_and_kube_apiserver("installed", "v1.37.0");
    let sources = Sources { assets: Some(places.path("assets")), ..places.sources() };
    let found = sources.find_or_build().unwrap();
    let (assets, kubectl) = (places.path("assets"), places.path("path/kubectl"));
    let origin = format!("from KUBEBUILDER_ASSETS, {}; kubectl is {}", assets.display(), kubectl.display());
    assert_eq!(found.origin(), origin);
    assert_eq!(found.kube_apiserver(), places.path("assets/kube-apiserver"));
    assert_eq!(found.kubectl(), kubectl);

    places.program("assets/kubectl", "Client Version: v1.34.1");
    assert_eq!(sources.find_or_build().unwrap().kubectl(), places.path("assets/kubectl"));
}

#[test]
fn assets_that_cannot_be_used_are_refused_with_cause_and_remedy() {
    let places = Places::new();
    let sources = Sources { assets: Some(places.path("assets")), ..places.sources() };
    let refusal = || format!("{:#}", sources.find_or_build().unwrap_err());
    let refused = |cause: &str| {
        let refusal = refusal();
        assert!(refusal.contains(cause), "{refusal}");
        assert!(
            refusal.contains("setup-envtest use -p path") && refusal.ends_with("or unset it"),
            "{refusal}"
        );
    };
    refused("/assets/etcd does not exist");
    places.program("assets/etcd", "");
    refused("/assets/kube-apiserver does not exist");
    places.etcd_and_kube_apiserver("assets", "v1.34.1");
    refused("/assets/kubectl does not exist: PATH has no kubectl");
    places.program("path/kubectl", "Client Version: v1.36.0");
    refused("/path/kubectl 1.36.0 is more than one minor version from API server 1.34.1");
    places.etcd_and_kube_apiserver("assets", "v1.32.9");
    places.program("assets/kubectl", "");
    refused("/assets/kube-apiserver: it is Kubernetes 1.32.9, and the operator needs 1.33 or newer");
}

#[test]
fn an_installation_is_used_unless_it_is_too_old() {
    let places = Places::new();
    places.etcd_and_kube_apiserver("installed", "v1.33.0");
    places.program("installed/kubectl", "");
    let found = places.sources().find().unwrap();
    assert_eq!(found.etcd(), places.path("installed/etcd"));

    places.etcd_and_kube_apiserver("installed", "v1.28.3");
    let refusal = format!("{:#}", places.sources().find().unwrap_err());
    assert!(refusal.contains("/installed is not used: ") && refusal.contains("1.28.3"), "{refusal}");
}

#[test]
fn what_was_downloaded_or_built_comes_before_an_installation() {
    let places = Places::new();
    places.etcd_and_kube_apiserver("installed", "v1.33.0");
    places.program("installed/kubectl", "");
    fs::create_dir(places.path("cache")).unwrap();
    for program in ["etcd", "kube-apiserver", "kubectl"] {
        assert_eq!(places.sources().find().unwrap().etcd(), places.path("installed/etcd"));
        // Nobody has to run them to find them.
        File::create(places.path("cache").join(program)).unwrap();
    }
    assert_eq!(places.sources().find().unwrap().etcd(), places.path("cache/etcd"));
}
