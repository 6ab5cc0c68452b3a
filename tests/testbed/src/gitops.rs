//! How GitOps tools interpret objects, computed by the tools' own libraries: kstatus (Helm 4, Flux) and Argo
//! CD's Lua. They are Go libraries, wrapped in a program that is built when a test first needs it.

use std::{
    io::Write as _,
    path::PathBuf,
    process::{Command, Stdio},
    thread,
};

use anyhow::{Context as _, Result, bail};
use serde::Deserialize;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::control_plane::{
    binaries::target_folder,
    go_build::{self, Recipe},
};

/// Their digest is part of the program's path.
const SOURCES: [&str; 3] = [
    include_str!("../modules/gitops/go.mod"),
    include_str!("../modules/gitops/main.go"),
    include_str!("../modules/gitops/lua.go"),
];

/// The tools' libraries.
#[derive(Debug, Clone)]
pub struct GitOps {
    program: PathBuf,
}

/// One line of the program's output.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Answer {
    cli_utils: String,
    flux: String,
    returned: Value,
    error: Option<String>,
}

impl GitOps {
    /// Finds or builds the program. Building blocks the thread.
    ///
    /// # Errors
    /// If it cannot be built; the message says what to do.
    pub fn find_or_build() -> Result<Self> {
        let digest = Sha256::digest(SOURCES.concat());
        let folder =
            target_folder().join("testbed").join(format!("bin-gitops-{:02x}{:02x}", digest[0], digest[1]));
        let recipe = Recipe {
            module: "gitops",
            programs: &[("groupattr.dev/testbed/gitops", "gitops")],
            ldflags: "-s -w".into(),
            estimate: "about 20 seconds",
            otherwise: String::new(),
        };
        go_build::build_missing(&folder, &[recipe])?;
        Ok(Self { program: folder.join("gitops") })
    }

    /// The verdict of kstatus on each object, such as `InProgress`.
    ///
    /// # Errors
    /// If kstatus refuses an object, or its two copies (of Kubernetes, and of Flux and Helm) disagree.
    pub fn kstatus(&self, objects: &[Value]) -> Result<Vec<String>> {
        let questions = objects.iter().map(|object| json!({"object": object}).to_string());
        let verdict = |answer: Answer| match answer {
            Answer { error: Some(error), .. } => bail!("kstatus refuses: {error}"),
            Answer { cli_utils, flux, .. } if cli_utils != flux => {
                bail!("the two copies disagree: {cli_utils} and {flux}")
            }
            Answer { cli_utils, .. } => Ok(cli_utils),
        };
        self.ask(questions.collect())?.into_iter().map(verdict).collect()
    }

    /// The result of an Argo CD script for an object; the error is the text that Argo CD would show.
    ///
    /// # Panics
    /// If the program cannot be run.
    pub fn lua(&self, script: &str, object: &Value) -> Result<Value, String> {
        let question = json!({"object": object, "script": script}).to_string();
        let answer = self.ask(vec![question]).expect("the program answers").remove(0);
        answer.error.map_or(Ok(answer.returned), Err)
    }

    fn ask(&self, questions: Vec<String>) -> Result<Vec<Answer>> {
        let count = questions.len();
        let mut command = Command::new(&self.program);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child =
            command.spawn().with_context(|| format!("cannot start {}", self.program.display()))?;
        let mut input = child.stdin.take().context("the program has no input")?;
        // Concurrently with reading, so that full pipes cannot block both sides.
        let writing = thread::spawn(move || input.write_all(questions.join("\n").as_bytes()));
        let output = child.wait_with_output()?;
        let written = writing.join().is_ok_and(|written| written.is_ok());
        let answers: Vec<Answer> =
            serde_json::Deserializer::from_slice(&output.stdout).into_iter().collect::<Result<_, _>>()?;
        if !output.status.success() || !written || answers.len() != count {
            bail!("{} of {count} answers: {}", answers.len(), String::from_utf8_lossy(&output.stderr));
        }
        Ok(answers)
    }
}
