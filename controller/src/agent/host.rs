//! Whether the host goes down, as its systemd says: then the routes of this node
//! are of no use to anybody, and the peers are told.

use std::process::{Command, Stdio};
use std::time::Duration;

/// How long the answer may take.
const PATIENCE: Duration = Duration::from_secs(1);

/// Whether the host is shutting down. No systemd, or none that answers, says no.
pub(super) async fn is_stopping() -> bool {
    let ask = || Command::new("systemctl").arg("is-system-running").stdin(Stdio::null()).output();
    match tokio::time::timeout(PATIENCE, tokio::task::spawn_blocking(ask)).await {
        Ok(Ok(Ok(output))) => says_stopping(&output.stdout),
        _ => false,
    }
}

/// Whether `systemctl is-system-running` has said so.
fn says_stopping(output: &[u8]) -> bool {
    output.trim_ascii() == b"stopping"
}

#[cfg(test)]
mod tests {
    use super::says_stopping;

    #[test]
    fn the_word_alone_counts() {
        assert!(says_stopping(b"stopping\n"));
        for other in [&b"running\n"[..], b"degraded\n", b"offline\n", b"", b"not stopping\n"] {
            assert!(!says_stopping(other));
        }
    }
}
