//! The next-hop object that the kernel's route to a prefix names: asked of the kernel when somebody asks for the story.

use api::v1;
use api::v1::explain_response::Explanation;
use bgp::prefix::Prefix;

use crate::kernel::lookup;

/// Adds the object to the story of a prefix whose route is installed. What the kernel does not tell stays open.
pub(super) async fn name(mut story: v1::ExplainResponse) -> v1::ExplainResponse {
    let Some(Explanation::Prefix(explained)) = &mut story.explanation else { return story };
    let Some(route) = &mut explained.route else { return story };
    let Some(kernel) = route.kernel.as_mut().filter(|kernel| kernel.state() == v1::KernelState::Installed)
    else {
        return story;
    };
    let Ok(prefix) = route.prefix.parse::<Prefix>() else { return story };
    let found = tokio::task::spawn_blocking(move || lookup::find(prefix.address())).await;
    if let Ok(Ok(Some(found))) = found
        && found.route.prefix == prefix
    {
        kernel.next_hop_object = found.route.object;
    }
    story
}
