//! Releases with a reset, with Helm 3 and Helm 4. The chart is `examples/helm`.

use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::Value;
use testbed::Helm;
use testbed::helm::HelmSays;
use testbed::vendor::{Misbehaviour, When};

use crate::world::{DEADLINE, World, message_of};

const CHART: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/helm");

/// A release in the test's namespace.
struct Release<'a> {
    world: &'a World,
    helm: Helm,
    name: &'static str,
    chart: String,
}

impl Release<'_> {
    async fn helm(&self, verb: &[&str]) -> HelmSays {
        let mut args = verb.to_vec();
        args.extend(["--namespace", &self.world.namespace]);
        self.helm.run(&self.world.plane.admin_kubeconfig(), &args).await.unwrap()
    }

    /// Installs or upgrades the release, for the room of the same name.
    async fn upgrade(&self, more: &[&str]) -> HelmSays {
        let group = format!("groupID=@TGS#{}", self.name);
        let mut args = vec!["upgrade", "--install", self.name, &self.chart, "--set", &group];
        args.extend(more);
        self.helm(&args).await
    }

    /// The same, and it must succeed.
    async fn upgraded(&self, more: &[&str]) {
        drop(self.upgrade(more).await.unwrap());
    }

    fn calls(&self) -> usize {
        self.world.calls(&format!("@TGS#{}", self.name))
    }

    async fn reset_is_of(&self, revision: usize, reason: &str) -> Value {
        let (name, request) = (format!("{}-room", self.name), format!("revision-{revision}"));
        let looks = |object: &Value| object["status"]["requestID"] == request.as_str();
        self.world.reset_where(&name, &request, looks).await;
        self.world.reset_is(&name, reason).await
    }
}

fn release(world: &World, helm: Helm) -> Release<'_> {
    let name = match helm {
        Helm::V3 => "three",
        Helm::V4 => "four",
    };
    world.room(&format!("@TGS#{name}"));
    Release { world, helm, name, chart: CHART.to_owned() }
}

/// A copy of the chart with modified files.
fn changed(release: &Release<'_>, change: impl Fn(&str) -> String) -> String {
    let Release { world, name, chart, .. } = release;
    let copy = world.plane.folder().join(format!("{}-{name}", world.namespace));
    for file in ["Chart.yaml", "values.yaml", "templates/reset.yaml"] {
        let (from, to) = (Path::new(chart).join(file), copy.join(file));
        std::fs::create_dir_all(to.parent().unwrap()).unwrap();
        std::fs::write(to, change(&std::fs::read_to_string(from).unwrap())).unwrap();
    }
    copy.to_str().unwrap().to_owned()
}

/// YAML reads digits as a number, which loses zeros and digits before a template sees it: it would be another group.
#[tokio::test]
async fn a_group_id_that_is_a_number_is_refused_and_quoted_digits_stay_as_they_are() {
    for helm in Helm::BOTH {
        let template =
            async |args: &[&str]| helm.offline(&[&["template", "show", CHART], args].concat()).await.unwrap();
        for args in [&["--set-json=groupID=1234567890"][..], &["--set=groupID=1234567890"]] {
            let said = template(args).await.unwrap_err();
            assert!(said.contains("/groupID"), "{helm:?} {args:?}: {said}");
            // Who takes over the template without its schema.
            let said = template(&[args, &["--skip-schema-validation"]].concat()).await.unwrap_err();
            assert!(said.contains("groupID must be text"), "{helm:?} {args:?}: {said}");
        }
        for id in ["1234567890", "0123", "12345678901234567890", "@TGS#a"] {
            let text = template(&["--set-string", &format!("groupID={id}")]).await.unwrap();
            let reset: Value = serde_saphyr::from_str(&text).unwrap();
            assert_eq!(reset["spec"]["groupID"], id, "{helm:?}");
        }
    }
}

#[tokio::test]
async fn each_release_revision_clears_once_and_a_rollback_does_not() {
    let world = World::new().await;
    let operator = world.operator(&[]).await;
    world.app("  limits: { groupIntervalMilliseconds: 200 }").await;
    world.app_is("Verified").await;
    for helm in Helm::BOTH {
        let release = release(&world, helm);
        for revision in 1..=3 {
            release.upgraded(&[]).await;
            release.reset_is_of(revision, "Cleared").await;
            assert_eq!(release.calls(), revision);
        }
        drop(release.helm(&["rollback", release.name, "1"]).await.unwrap());
        let shown = release.reset_is_of(1, "Cleared").await;
        assert!(message_of(&shown, "Succeeded").contains("not sent again"), "{shown:#}");

        // Helm manages the object, so its TTL must not delete it.
        let name = format!("{}-room", release.name);
        world.patch("gar", &name, "{\"ttlSecondsAfterFinished\":0}").await;
        world.marker(&format!("kept-by-{}", release.name)).await;
        assert!(world.object("gar", &name).await.is_some());
        drop(release.helm(&["uninstall", release.name]).await.unwrap());
        assert!(world.object("gar", &name).await.is_none());
        world.marker(&format!("gone-by-{}", release.name)).await;
        assert_eq!(release.calls(), 3, "{helm:?}");
    }
    world.check(&[&operator]).await;
}

#[tokio::test]
async fn helm_4_waits_for_the_reset_and_helm_3_does_not() {
    let world = World::new().await;
    // No operator is running.
    let three = release(&world, Helm::V3);
    three.upgraded(&["--wait", "--timeout", "60s"]).await;
    assert_eq!(three.calls(), 0);

    let four = release(&world, Helm::V4);
    let waiting = four.upgrade(&["--wait", "--timeout", "90s"]);
    let operator = async {
        world.reset_where("four-room", "to be there", |_| true).await;
        let operator = world.operator(&[]).await;
        world.app("").await;
        operator
    };
    let (installed, operator) = tokio::join!(waiting, operator);
    drop(installed.unwrap());
    assert_eq!(
        crate::world::reason_of(&world.object("gar", "four-room").await.unwrap(), "Succeeded"),
        "Cleared"
    );
    assert_eq!(four.calls(), 1);
    world.check(&[&operator]).await;
}

#[tokio::test]
async fn a_failed_reset_fails_the_helm_4_release() {
    let world = World::new().await;
    let operator = world.operator(&[]).await;
    world.app("").await;
    world.app_is("Verified").await;
    let four = release(&world, Helm::V4);
    world.vendor.script(When::clear().of("@TGS#four"), Misbehaviour::Code(10007));
    // Build Helm first: that takes longer than Helm may wait below.
    drop(Helm::V4.program().await.unwrap());
    let began = Instant::now();
    let refusal = four.upgrade(&["--wait", "--timeout", "60s"]).await.unwrap_err();
    assert!(began.elapsed() < Duration::from_secs(40), "Helm waited for its timeout");
    for said in ["GroupAttributeReset", "four-room", "Failed", "Code 10007", "new requestID"] {
        assert!(refusal.contains(said), "{refusal}");
    }
    let listed = four.helm(&["status", "four", "-o", "json"]).await.unwrap();
    let status: Value = serde_json::from_str(&listed).unwrap();
    assert_eq!(status["info"]["status"], "failed", "{listed}");
    world.reset_is("four-room", "GroupTypeNotSupported").await;

    let three = release(&world, Helm::V3);
    world.vendor.script(When::clear().of("@TGS#three"), Misbehaviour::Code(10007));
    three.upgraded(&["--wait", "--timeout", "15s"]).await;
    world.reset_is("three-room", "GroupTypeNotSupported").await;
    world.check(&[&operator]).await;
}

#[tokio::test]
async fn helm_4_times_out_on_a_suspended_reset() {
    let world = World::new().await;
    let operator = world.operator(&[]).await;
    world.app("").await;
    let four = release(&world, Helm::V4);
    let chart = changed(&four, |text| text.replace("\nspec:\n", "\nspec:\n  suspend: true\n"));
    let four = Release { chart, ..four };
    let refusal = four.upgrade(&["--wait", "--timeout", "15s"]).await.unwrap_err();
    assert!(refusal.contains("four-room"), "{refusal}");
    world.reset_is("four-room", "Suspended").await;
    world.marker("others-go").await;
    assert_eq!(four.calls(), 0);
    world.check(&[&operator]).await;
}

#[tokio::test]
async fn each_hook_run_is_a_new_reset_and_neither_helm_waits_for_it() {
    let world = World::new().await;
    let hooked = |helm| {
        let release = release(&world, helm);
        let chart = changed(&release, |text| {
            let hook = "annotations: { helm.sh/hook: \"post-install,post-upgrade\", \
                        helm.sh/hook-delete-policy: before-hook-creation }";
            text.replace("\nspec:\n", &format!("\n  {hook}\nspec:\n"))
                .replace("revision-{{ .Release.Revision }}", "always-the-same")
        });
        Release { chart, ..release }
    };
    // No operator is running, and Helm still succeeds.
    let releases = Helm::BOTH.map(hooked);
    for release in &releases {
        release.upgraded(&["--wait", "--timeout", "60s"]).await;
        assert_eq!(release.calls(), 0);
    }
    let operator = world.operator(&[]).await;
    world.app("  limits: { groupIntervalMilliseconds: 200 }").await;
    for release in &releases {
        let name = format!("{}-room", release.name);
        let first = world.reset_is(&name, "Cleared").await;
        release.upgraded(&[]).await;
        let second = world.reset_is(&name, "Cleared").await;
        assert_ne!(first["metadata"]["uid"], second["metadata"]["uid"]);
        assert_eq!(release.calls(), 2, "{:?}", release.helm);
        // A hook has no label of Helm, so its TTL applies.
        world.patch("gar", &name, "{\"ttlSecondsAfterFinished\":0}").await;
        testbed::until(DEADLINE, "its TTL to expire", || async {
            world.object("gar", &name).await.is_none().then_some(())
        })
        .await;
    }
    world.check(&[&operator]).await;
}
