//! What an agent tells of one prefix, in a few words: whom it comes from, and what the kernel holds.

use api::v1;

use super::client::Client;
use super::failure::Failure;
use super::render::text;

/// The story that one agent tells.
pub(super) async fn story(
    mut agent: Client,
    request: v1::ExplainRequest,
) -> Result<v1::ExplainResponse, Failure> {
    let answer = agent.explain(request).await;
    answer.map(tonic::Response::into_inner).map_err(|status| Failure::answered(&status))
}

/// Whom a path comes from.
pub(super) fn source(path: &v1::Path) -> String {
    match &path.source {
        Some(v1::path::Source::Peer(peer)) => text::with_path_id(&text::peer(peer), path.path_id),
        Some(v1::path::Source::Local(_)) | None => "local".to_owned(),
    }
}

/// What the kernel holds of a route, in words.
pub(super) fn installed(route: Option<&v1::Route>) -> String {
    let state = route.and_then(|route| route.kernel.as_ref());
    let hops = route.map(|route| route.next_hops.as_slice()).unwrap_or_default();
    let hops: Vec<&str> = hops.iter().map(|hop| hop.address.as_str()).collect();
    match state.map(|kernel| (kernel.state(), kernel)) {
        Some((v1::KernelState::Installed, kernel)) => {
            let object = kernel.next_hop_object.map(|id| format!(", nhid {id}")).unwrap_or_default();
            format!("installed via {}{object}", hops.join(", "))
        }
        Some((v1::KernelState::Pending, _)) => "a change is under way".to_owned(),
        Some((v1::KernelState::Failed, kernel)) => {
            let error = kernel.error.clone().unwrap_or_default();
            format!("rejected: {error} (errno {})", kernel.errno.unwrap_or_default())
        }
        _ => "not requested".to_owned(),
    }
}
