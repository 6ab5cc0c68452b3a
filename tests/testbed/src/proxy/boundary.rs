//! Which requests a fault applies to.

use std::{fmt, sync::Arc};

use serde_json::Value;

use super::request::Passing;

/// Whether a request matches.
type Look = Arc<dyn Fn(&Passing) -> bool + Send + Sync>;

/// The requests a fault applies to. Unset criteria match everything.
#[derive(Clone, Default)]
pub struct Boundary {
    verb: Option<&'static str>,
    resource: Option<&'static str>,
    subresource: Option<&'static str>,
    name: Option<String>,
    looks: Option<Look>,
    /// How many matching requests pass first.
    pub(super) skip: u32,
    /// How many matching requests after those get the fault; `None` for all.
    pub(super) times: Option<u32>,
}

/// Any request, and the boundaries of an attempt in order.
impl Boundary {
    /// Every request.
    #[must_use]
    pub fn any() -> Self {
        Self::default()
    }

    /// A verb and a resource as in [`Passing`]. The resource may include a subresource: `pods/status`.
    #[must_use]
    pub fn of(verb: &'static str, resource: &'static str) -> Self {
        let (resource, subresource) = resource.split_once('/').unwrap_or((resource, ""));
        Self {
            verb: Some(verb),
            resource: Some(resource),
            subresource: Some(subresource),
            times: Some(1),
            ..Self::default()
        }
    }

    /// The read of a Secret.
    #[must_use]
    pub fn secret() -> Self {
        Self::of("get", "secrets")
    }

    /// The status write that stores the intent.
    #[must_use]
    pub fn intent() -> Self {
        Self::of("update", "groupattributeresets/status").whose(|seen| {
            seen.body["status"]["pendingAttempt"].is_object() && reason(&seen.body) == "Sending"
        })
    }

    /// The clear call.
    #[must_use]
    pub fn clear() -> Self {
        Self::of("call", "clear_group_attr")
    }

    /// The status write that stores the outcome of an attempt.
    #[must_use]
    pub fn outcome() -> Self {
        Self::of("update", "groupattributeresets/status").whose(|seen| {
            let status = &seen.body["status"];
            status["pendingAttempt"].is_null() && status["lastAttempt"].is_object()
        })
    }

    /// The read-back of a group after an unknown outcome. Probes read another group.
    #[must_use]
    pub fn read_back() -> Self {
        Self::of("call", "get_group_attr")
    }

    /// The creation of an event.
    #[must_use]
    pub fn event() -> Self {
        Self::of("create", "events")
    }

    /// A renewal of the lease by its holder.
    #[must_use]
    pub fn renewal() -> Self {
        Self::of("update", "leases").whose(|seen| seen.body["spec"]["holderIdentity"] != "")
    }

    /// The release of the lease.
    #[must_use]
    pub fn release() -> Self {
        Self::of("update", "leases").whose(|seen| seen.body["spec"]["holderIdentity"] == "")
    }

    /// A page of a list, counted from 1 by its continue token.
    #[must_use]
    pub fn page(resource: &'static str, number: u32) -> Self {
        let continues = number > 1;
        Self::of("list", resource)
            .whose(move |seen| seen.query.contains("continue=") == continues)
            .nth(number.saturating_sub(1).max(1))
    }
}

/// Restricting and counting.
impl Boundary {
    /// Only requests for the object or group of this name.
    #[must_use]
    pub fn about(self, name: impl Into<String>) -> Self {
        Self { name: Some(name.into()), ..self }
    }

    /// Only requests that satisfy this predicate.
    #[must_use]
    pub fn whose(self, looks: impl Fn(&Passing) -> bool + Send + Sync + 'static) -> Self {
        Self { looks: Some(Arc::new(looks)), ..self }
    }

    /// The n-th match, counted from 1, instead of the first.
    #[must_use]
    pub fn nth(self, n: u32) -> Self {
        Self { skip: n.saturating_sub(1), ..self }
    }

    /// This many consecutive matches instead of one.
    #[must_use]
    pub fn times(self, times: u32) -> Self {
        Self { times: Some(times), ..self }
    }

    /// All matches until the plan is dropped.
    #[must_use]
    pub fn always(self) -> Self {
        Self { times: None, ..self }
    }

    pub(super) fn matches(&self, seen: &Passing) -> bool {
        self.verb.is_none_or(|verb| seen.verb == verb)
            && self.resource.is_none_or(|resource| seen.resource == resource)
            && self.subresource.is_none_or(|subresource| seen.subresource == subresource)
            && self.name.as_ref().is_none_or(|name| seen.name == *name)
            && self.looks.as_ref().is_none_or(|looks| looks(seen))
    }
}

impl fmt::Display for Boundary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let any = |part: Option<&'static str>| part.unwrap_or("any");
        write!(f, "{} {}", any(self.verb), any(self.resource))?;
        if let Some(subresource) = self.subresource.filter(|subresource| !subresource.is_empty()) {
            write!(f, "/{subresource}")?;
        }
        self.name.as_ref().map_or(Ok(()), |name| write!(f, " {name}"))
    }
}

fn reason(object: &Value) -> &str {
    let conditions = object["status"]["conditions"].as_array().into_iter().flatten();
    let mut succeeded = conditions.filter(|condition| condition["type"] == "Succeeded");
    succeeded.next().and_then(|condition| condition["reason"].as_str()).unwrap_or_default()
}
