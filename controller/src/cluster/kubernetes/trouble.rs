//! Why a request failed, in words that stay the same while it lasts, so that it
//! is told once; and what follows from it.

use std::time::Duration;

use kube::Error;
use kube::core::Status;

/// A request that failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trouble {
    /// Why, for people.
    pub text: String,
    /// Whether the agent's credentials are what was refused.
    pub refused: bool,
    /// Whether the version to go on from is not known to the server, so that everything has to be listed.
    pub gone: bool,
    /// Whether the object has changed since the version that the request was made for.
    pub conflict: bool,
    /// How long the server wants to be left alone.
    pub wait: Option<Duration>,
}

impl Trouble {
    /// Something wrong on this side.
    #[must_use]
    pub fn local(text: String) -> Self {
        Self { text, refused: false, gone: false, conflict: false, wait: None }
    }

    /// A request to `server` that gave no answer in time.
    #[must_use]
    pub fn silent(server: &str) -> Self {
        Self::local(format!("Kubernetes API {server} does not answer"))
    }

    /// What an error of the client means.
    #[must_use]
    pub fn of(server: &str, error: &Error) -> Self {
        match error {
            Error::Api(status) => Self::status(server, status),
            Error::SerdeError(error) => {
                Self::local(format!("Kubernetes API {server} answers with what is no object: {error}"))
            }
            Error::Auth(error) => Self {
                refused: true,
                ..Self::local(format!("credentials for Kubernetes API {server}: {}", chain(error)))
            },
            // The words of the library around the cause say nothing to an operator.
            Error::Service(error) => Self::unreachable(server, &innermost(error.as_ref())),
            Error::HyperError(error) => Self::unreachable(server, &innermost(error)),
            Error::ReadEvents(error) => Self::unreachable(server, &innermost(error)),
            other => Self::unreachable(server, &chain(other)),
        }
    }

    fn unreachable(server: &str, text: &str) -> Self {
        // RFC 5280 §4.1.2.5: a certificate is good between two dates of somebody's clock.
        let dated = text.contains("certificate expired") || text.contains("certificate not valid yet");
        let hint = if dated { "; compare this node's clock" } else { "" };
        // A certificate of this side that is refused may have been replaced on disk.
        let refused = text.contains("certificate");
        Self { refused, ..Self::local(format!("Kubernetes API {server} is not reachable: {text}{hint}")) }
    }

    /// What an answer other than success means.
    #[must_use]
    pub fn status(server: &str, status: &Status) -> Self {
        let wait =
            status.details.as_ref().map(|details| details.retry_after_seconds).filter(|wait| *wait > 0);
        let wait = wait.map(|seconds| Duration::from_secs(seconds.into()));
        // An API server that was restored from an older copy does not know the version either.
        let ahead = status.code == 504 && status.message.contains("resource version");
        let text = match status.code {
            401 => format!(
                "Kubernetes API {server} does not accept the agent's credentials (401); they are read again \
                 with each attempt, and an expired token is the usual reason"
            ),
            403 => format!("Kubernetes API {server} forbids it (403): {}", status.message),
            404 => format!(
                "Kubernetes API {server} does not know the kind (404); are the definitions installed \
                 (`underlay crd`)? {}",
                status.message
            ),
            429 => format!("Kubernetes API {server} is asked too much (429)"),
            code @ 500.. => format!("Kubernetes API {server} has failed ({code}): {}", status.message),
            code => format!("Kubernetes API {server} answers with {code}: {}", status.message),
        };
        let (refused, gone, conflict) = (status.code == 401, status.code == 410 || ahead, status.code == 409);
        Self { text, refused, gone, conflict, wait }
    }
}

/// An error and what caused it, in one line.
#[must_use]
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut at = error.source();
    while let Some(cause) = at {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        at = cause.source();
    }
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// What is at the bottom of an error.
fn innermost(error: &(dyn std::error::Error + 'static)) -> String {
    let mut at = error;
    while let Some(cause) = at.source() {
        at = cause;
    }
    at.to_string().split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(code: u16, message: &str) -> Trouble {
        let status = Status { code, message: message.to_owned(), ..Status::default() };
        Trouble::status("https://10.0.0.1:6443", &status)
    }

    #[test]
    fn each_answer_says_what_follows() {
        assert!(status(401, "Unauthorized").refused);
        assert!(status(410, "too old resource version").gone);
        assert!(status(504, "Timeout: Too large resource version: 9, current: 3").gone);
        assert!(!status(504, "gateway").gone);
        assert!(status(409, "the object has been modified").conflict);
        let forbidden = status(403, "nodes is forbidden: User \"x\" cannot list resource \"nodes\"");
        assert!(forbidden.text.ends_with("cannot list resource \"nodes\""), "{}", forbidden.text);
        assert!(
            status(404, "the server could not find the requested resource").text.contains("underlay crd")
        );
    }

    #[test]
    fn the_words_do_not_change_from_one_attempt_to_the_next() {
        let io = || std::io::Error::from_raw_os_error(111);
        let error = || Error::Service(Box::new(io()));
        let trouble = Trouble::of("https://10.0.0.1:6443", &error());
        assert_eq!(trouble, Trouble::of("https://10.0.0.1:6443", &error()));
        assert_eq!(
            trouble.text,
            "Kubernetes API https://10.0.0.1:6443 is not reachable: Connection refused (os error 111)"
        );
    }
}
