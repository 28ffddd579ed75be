//! What the API server lacks of what is of use with it, told once in one line.

use super::connection::Connection;

/// What a server has from which minor version of 1 on.
const SINCE: [(u32, &str); 5] = [
    (21, "discovery.k8s.io/v1"),
    (25, "strict field validation: misspelt fields are dropped without a word unless kubectl looks"),
    (25, "validation of custom resources by CEL: the agent alone checks those rules"),
    (30, "ValidatingAdmissionPolicy: nothing but RBAC restrains what an agent may write"),
    (32, "streaming lists: the first lists are read in pages"),
];

/// Asks the server for its version, and says what it lacks.
pub(super) async fn tell(connection: Connection) {
    let Ok(linked) = connection.linked().await else { return };
    let server = &*linked.server;
    let Ok(info) = linked.client.apiserver_version().await else {
        tracing::info!(event = "api-server", server, reason = "its version cannot be read");
        return;
    };
    let (version, lacks) = (info.git_version, lacks(&info.minor));
    if lacks.is_empty() {
        tracing::info!(event = "api-server", server, version);
    } else {
        tracing::warn!(
            event = "api-server",
            server,
            version,
            reason = format!("it lacks {}", lacks.join("; "))
        );
    }
}

/// What a server of that minor version lacks; some write `20+`.
fn lacks(minor: &str) -> Vec<&'static str> {
    let digits: String = minor.chars().take_while(char::is_ascii_digit).collect();
    let Ok(minor) = digits.parse::<u32>() else { return Vec::new() };
    SINCE.iter().filter(|(since, _)| minor < *since).map(|(_, what)| *what).collect()
}

#[cfg(test)]
mod tests {
    use super::lacks;

    #[test]
    fn a_server_lacks_what_came_later() {
        assert_eq!(lacks("20").len(), 5);
        assert_eq!(lacks("24+").len(), 4);
        assert!(lacks("33").is_empty());
        assert!(lacks("").is_empty());
    }
}
