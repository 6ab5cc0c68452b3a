//! Builds programs from the Go modules in `modules/`, once for all test processes of this working copy.

use std::{
    fs::{self, File},
    io::{ErrorKind, Read as _, Seek as _, SeekFrom},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread::sleep,
    time::Duration,
};

use anyhow::{Context as _, Result, bail};

use super::{logs::last_lines, progress::Progress};
use crate::children;

/// Programs that one `go build` makes from one module, so that they share what they have in common.
pub(crate) struct Recipe {
    /// Folder below `modules/`.
    pub(crate) module: &'static str,
    /// Go packages with the names of their programs.
    pub(crate) programs: &'static [(&'static str, &'static str)],
    pub(crate) ldflags: String,
    /// How long it took on two cores with nothing cached.
    pub(crate) estimate: &'static str,
    /// What one can do instead of having a Go compiler; empty if nothing.
    pub(crate) otherwise: String,
}

/// Builds what `folder` lacks. A lock keeps a second process from doing the same at the same time; it waits, and
/// then finds everything there. Programs appear in `folder` by renaming, so a half-made one is never used.
pub(crate) fn build_missing(folder: &Path, recipes: &[Recipe]) -> Result<()> {
    if recipes.iter().all(|recipe| recipe.is_done(folder)) {
        return Ok(());
    }
    let _lock = lock(folder)?;
    // One after another: two at once need more memory than small machines have, and are not faster on two cores.
    for recipe in recipes.iter().filter(|recipe| !recipe.is_done(folder)) {
        recipe.build(folder)?;
    }
    Ok(())
}

/// Makes `folder` and keeps other processes from filling it, until the file is closed.
pub(super) fn lock(folder: &Path) -> Result<File> {
    fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let lock = File::create(folder.join(".lock"))?;
    if lock.try_lock().is_err() {
        eprintln!("testbed: waiting for another process that downloads or builds the same programs");
        lock.lock()?;
    }
    Ok(lock)
}

impl Recipe {
    fn is_done(&self, folder: &Path) -> bool {
        self.programs.iter().all(|(_, name)| folder.join(name).is_file())
    }

    fn build(&self, folder: &Path) -> Result<()> {
        let module = Path::new(env!("CARGO_MANIFEST_DIR")).join("modules").join(self.module);
        let names: Vec<_> = self.programs.iter().map(|(_, name)| *name).collect();
        let aside = folder.join(format!(".{}-being-built", self.module));
        let _ = fs::remove_dir_all(&aside);
        fs::create_dir_all(&aside)?;
        let log = folder.join(format!("{}-build.log", self.module));

        let mut command = Command::new("go");
        command.current_dir(&module).args(["build", "-v", "-trimpath", "-buildvcs=false", "-mod=readonly"]);
        command.args(["-ldflags", &self.ldflags]).arg("-o").arg(self.output(&aside));
        command.args(self.programs.iter().map(|(package, _)| package));
        command.env("CGO_ENABLED", "0");
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(File::create(&log)?);
        let title = format!("building {} from source, once; {}", names.join(" and "), self.estimate);
        self.run(command, &log, Progress::start(title))?;

        for name in names {
            fs::rename(aside.join(name), folder.join(name))
                .with_context(|| format!("go build made no {name}"))?;
        }
        let _ = fs::remove_dir_all(&aside);
        Ok(())
    }

    /// One program can be given any name; several go into a folder, named after their packages.
    fn output(&self, aside: &Path) -> PathBuf {
        match self.programs {
            [(_, name)] => aside.join(name),
            _ => aside.join(""),
        }
    }

    fn run(&self, command: Command, log: &Path, mut progress: Progress) -> Result<()> {
        let go = match children::start(command) {
            Err(error) if error.kind() == ErrorKind::NotFound => bail!(
                "{} must be built, but there is no `go` in PATH; install Go 1.26 or newer{}",
                self.module,
                self.otherwise
            ),
            other => other.context("cannot start go")?,
        };
        let mut packages = PackageCount::of(log)?;
        let status = loop {
            if let Some(status) = go.exit_status() {
                break status;
            }
            progress.show(&format!("{} packages", packages.so_far()));
            sleep(Duration::from_millis(200));
        };
        progress.end();
        if !status.success() {
            bail!(
                "building {} failed ({status}); the end of {} says:\n{}\nModules that cannot be downloaded need network \
                 or a Go module proxy; a compiler that was killed needs memory, about 3 GB",
                self.module,
                log.display(),
                last_lines(log, 15)
            );
        }
        Ok(())
    }
}

/// Counts the packages that `go build -v` has named so far.
struct PackageCount {
    log: File,
    read: u64,
    packages: u64,
}

impl PackageCount {
    fn of(log: &Path) -> Result<Self> {
        Ok(Self { log: File::open(log)?, read: 0, packages: 0 })
    }

    fn so_far(&mut self) -> u64 {
        let mut new = String::new();
        if self.log.seek(SeekFrom::Start(self.read)).is_ok() && self.log.read_to_string(&mut new).is_ok() {
            self.read += new.len() as u64;
            // Lines that start with `go:` speak of downloads.
            self.packages += new.lines().filter(|line| !line.starts_with("go:")).count() as u64;
        }
        self.packages
    }
}
