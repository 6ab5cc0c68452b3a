//! Who did what at the API server, as its audit log tells it.
//!
//! A request is written to the log when its answer is ready, which can be a moment after the caller has it. A test
//! that counts requests calls [`ControlPlane::audit_marker`] first.

use std::{
    collections::HashMap,
    fs::File,
    io::{Read as _, Seek as _, SeekFrom},
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, atomic::Ordering},
    time::Duration,
};

use anyhow::{Context as _, Result, anyhow};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::Api;
use serde::Deserialize;
use serde_json::Value;

use super::ControlPlane;
use crate::until::poll;

/// One line of the audit log. A watch has two: `ResponseStarted` and, when it ends, `ResponseComplete`.
#[derive(Debug, Clone)]
pub struct AuditEvent {
    /// `ResponseStarted`, `ResponseComplete` or `Panic`.
    pub stage: String,
    /// `get`, `list`, `watch`, `create`, `update`, `patch`, `delete`, …
    pub verb: String,
    /// Such as `system:serviceaccount:ns:name`.
    pub user: String,
    /// The client's `User-Agent`.
    pub user_agent: String,
    /// API group; empty for the core group and for URLs that are no resources.
    pub group: String,
    /// Plural resource; empty for URLs that are no resources.
    pub resource: String,
    /// Such as `status`; empty for the object itself.
    pub subresource: String,
    /// Empty for cluster-scoped requests.
    pub namespace: String,
    /// Empty for lists and watches.
    pub name: String,
    /// HTTP status of the answer.
    pub code: u16,
    /// When the request came in.
    pub received: Timestamp,
    /// When the answer was ready.
    pub answered: Timestamp,
    /// Path and query.
    pub request_uri: String,
    /// What was sent; only for `*/status` of the operator's kinds.
    pub request_object: Value,
    /// What was answered; only for `*/status` of the operator's kinds.
    pub response_object: Arc<Value>,
}

/// Hundreds of tests ask the same log, so what most of them ask for is sorted as it is read.
#[derive(Default)]
struct ReadSoFar {
    offset: u64,
    events: Vec<Arc<AuditEvent>>,
    by_namespace: HashMap<String, Vec<Arc<AuditEvent>>>,
    statuses: Vec<Arc<AuditEvent>>,
}

/// The growing log file; each line is parsed once.
pub(super) struct AuditLog {
    file: PathBuf,
    read: Mutex<ReadSoFar>,
}

impl ControlPlane {
    /// All requests so far, in the order of the log.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub fn audit(&self) -> Result<Vec<Arc<AuditEvent>>> {
        Ok(self.audit.read()?.events.clone())
    }

    /// The requests about one namespace.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub fn audit_in(&self, namespace: &str) -> Result<Vec<Arc<AuditEvent>>> {
        Ok(self.audit.read()?.by_namespace.get(namespace).cloned().unwrap_or_default())
    }

    /// The requests about a status, in all namespaces.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub fn audit_of_statuses(&self) -> Result<Vec<Arc<AuditEvent>>> {
        Ok(self.audit.read()?.statuses.clone())
    }

    /// The requests of one user.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub fn audit_of(&self, user: &str) -> Result<Vec<Arc<AuditEvent>>> {
        let read = self.audit.read()?;
        Ok(read.events.iter().filter(|event| event.user == user).cloned().collect())
    }

    /// The whole log as text, to search it for what must not be there.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub fn audit_text(&self) -> Result<String> {
        Ok(std::fs::read_to_string(&self.audit.file)?)
    }

    /// Waits until everything that was answered before this call is in the log: makes a harmless request that can be
    /// recognised and waits for its line.
    ///
    /// # Errors
    /// When the line does not come within 10 seconds.
    pub async fn audit_marker(&self) -> Result<()> {
        let name = format!("audit-marker-{}", self.names_given.fetch_add(1, Ordering::Relaxed));
        let nothing: Api<ConfigMap> = Api::namespaced(self.admin().await, "default");
        nothing.get_opt(&name).await?;
        let seen = poll(Duration::from_secs(10), || async {
            let read = self.audit.read()?;
            let mut here = read.by_namespace.get("default").into_iter().flatten().rev();
            here.any(|event| event.name == name)
                .then_some(())
                .ok_or_else(|| anyhow!("the audit log lags by more than 10 s"))
        });
        seen.await.map_err(|why| why.unwrap_or_else(|| anyhow!("the audit log could not be read in 10 s")))
    }
}

impl AuditLog {
    pub(super) fn new(file: PathBuf) -> Self {
        Self { file, read: Mutex::default() }
    }

    /// Everything up to now.
    fn read(&self) -> Result<MutexGuard<'_, ReadSoFar>> {
        let mut read = self.read.lock().expect("no panic while holding this lock");
        let mut file = File::open(&self.file)?;
        file.seek(SeekFrom::Start(read.offset))?;
        let mut new = Vec::new();
        file.read_to_end(&mut new)?;
        // A line that is still being written is left for the next time.
        let complete = new.iter().rposition(|&byte| byte == b'\n').map_or(0, |end| end + 1);
        for line in new[..complete].split(|&byte| byte == b'\n').filter(|line| !line.is_empty()) {
            let event: Arc<AuditEvent> = Arc::new(parse(line)?.into());
            read.by_namespace.entry(event.namespace.clone()).or_default().push(Arc::clone(&event));
            if event.subresource == "status" {
                read.statuses.push(Arc::clone(&event));
            }
            read.events.push(event);
        }
        read.offset += complete as u64;
        Ok(read)
    }
}

/// How each line begins.
const BEGINNING: &[u8] = br#"{"kind":"Event","apiVersion":"audit.k8s.io/v1""#;

/// An API server that was killed may have written a part of its last line; its successor goes on right behind that.
fn parse(line: &[u8]) -> Result<Line> {
    let begun = line.windows(BEGINNING.len()).rposition(|window| window == BEGINNING).unwrap_or_default();
    serde_json::from_slice(&line[begun..])
        .with_context(|| format!("a line of the audit log: {}", String::from_utf8_lossy(line)))
}

/// A line as kube-apiserver writes it (`audit.k8s.io/v1`, kind `Event`).
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Line {
    stage: String,
    verb: String,
    user: User,
    #[serde(default)]
    user_agent: String,
    #[serde(default)]
    object_ref: ObjectRef,
    #[serde(default)]
    response_status: ResponseStatus,
    request_received_timestamp: Timestamp,
    stage_timestamp: Timestamp,
    #[serde(rename = "requestURI")]
    request_uri: String,
    #[serde(default)]
    request_object: Value,
    #[serde(default)]
    response_object: Value,
}

/// Nameless when the request was refused as `Unauthorized`, as an API server does that has just started.
#[derive(Debug, Deserialize, Default)]
#[serde(default)]
struct User {
    username: String,
}

#[derive(Debug, Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct ObjectRef {
    api_group: String,
    resource: String,
    subresource: String,
    namespace: String,
    name: String,
}

#[derive(Debug, Deserialize, Default)]
#[serde(default)]
struct ResponseStatus {
    code: u16,
}

impl From<Line> for AuditEvent {
    fn from(line: Line) -> Self {
        Self {
            stage: line.stage,
            verb: line.verb,
            user: line.user.username,
            user_agent: line.user_agent,
            group: line.object_ref.api_group,
            resource: line.object_ref.resource,
            subresource: line.object_ref.subresource,
            namespace: line.object_ref.namespace,
            name: line.object_ref.name,
            code: line.response_status.code,
            received: line.request_received_timestamp,
            answered: line.stage_timestamp,
            request_uri: line.request_uri,
            request_object: line.request_object,
            response_object: Arc::new(line.response_object),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINE: &str = r#"{"kind":"Event","apiVersion":"audit.k8s.io/v1","stage":"ResponseComplete","verb":"get",
        "user":{"username":"me"},"requestReceivedTimestamp":"2026-01-01T00:00:00.000001Z",
        "stageTimestamp":"2026-01-01T00:00:00.000002Z","requestURI":"/api"}"#;

    #[test]
    fn what_a_killed_server_left_of_a_line_does_not_hide_the_next() {
        assert_eq!(parse(LINE.as_bytes()).unwrap().verb, "get");
        for torn in [1, 30, LINE.len() - 1] {
            let line = [&LINE[..torn], LINE].concat();
            assert_eq!(parse(line.as_bytes()).unwrap().verb, "get", "after {torn} bytes");
        }
    }

    #[test]
    fn a_request_of_nobody_is_a_line_too() {
        let nobody = LINE.replace(r#"{"username":"me"}"#, "{}");
        assert_eq!(parse(nobody.as_bytes()).unwrap().user.username, "");
    }

    #[test]
    fn what_is_no_line_is_shown() {
        assert!(parse(b"nonsense").unwrap_err().to_string().contains("nonsense"));
    }
}
