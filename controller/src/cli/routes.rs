//! `underlay routes`: what the agents know, one path a row.

use std::net::IpAddr;

use api::v1;
use api::v1::list_routes_request::Filter;
use clap::Args;

use super::client::{self, Answers, Client};
use super::failure::{Exit, Failure};
use super::options::Options;
use super::outcome::Outcome;
use super::prefix::PrefixArg;
use super::render::json::Document;
use super::render::table::Table;
use super::render::{Render, Style, text};
use super::watch;

/// The arguments of `routes`.
#[derive(Args, Clone, Debug)]
pub struct RoutesArgs {
    /// This prefix alone
    pub prefix: Option<PrefixArg>,
    /// Which routes
    #[command(flatten)]
    pub which: Which,
    /// Go on: redraw a terminal, or print a line of JSON for each change
    #[arg(short, long)]
    pub watch: bool,
    /// Where and how
    #[command(flatten)]
    pub options: Options,
}

/// Which routes; all of them if nothing is said.
#[derive(Args, Clone, Debug, Default)]
#[group(multiple = false)]
pub struct Which {
    /// Paths of this peer, by name or address
    #[arg(long, value_name = "PEER")]
    pub received: Option<String>,
    /// Paths that the import rules refused
    #[arg(long)]
    pub rejected: bool,
    /// Paths that are announced to this peer, as they were received
    #[arg(long, value_name = "PEER")]
    pub sent: Option<String>,
    /// Paths that are used by routes in the kernel
    #[arg(long)]
    pub installed: bool,
}

impl Which {
    fn filter(&self) -> Option<Filter> {
        let peer = |peer: &String| v1::PeerFilter { peer: peer.clone() };
        match self {
            Self { received: Some(name), .. } => Some(Filter::Received(peer(name))),
            Self { sent: Some(name), .. } => Some(Filter::Sent(peer(name))),
            Self { rejected: true, .. } => Some(Filter::Rejected(v1::RejectedFilter {})),
            Self { installed: true, .. } => Some(Filter::Installed(v1::InstalledFilter {})),
            _ => None,
        }
    }
}

/// The routes of each agent that answered: all pages as one, ordered by prefix.
#[derive(Debug)]
pub struct Routes(pub Vec<v1::ListRoutesResponse>);

pub(super) async fn run(args: RoutesArgs) -> Outcome {
    if args.watch {
        return watch::run(&args.options.clone(), &watch::ROUTES, |options| {
            once(RoutesArgs { options, ..args.clone() })
        })
        .await;
    }
    once(args).await
}

async fn once(args: RoutesArgs) -> Outcome {
    let (options, prefix) = (&args.options, args.prefix.as_ref());
    let request = v1::ListRoutesRequest {
        filter: args.which.filter(),
        prefix: prefix.map(|arg| arg.prefix.to_string()),
        page_size: 1000,
        page_token: String::new(),
    };
    let Answers { answers, mut failures, asked } =
        client::ask(options, |agent| all_pages(agent, request.clone())).await;
    if let Some(prefix) = prefix
        && !answers.is_empty()
        && answers.iter().all(|answer| answer.routes.is_empty())
    {
        let which = if request.filter.is_some() { " among the routes that were asked for" } else { "" };
        failures.push(Failure::new(Exit::Missing, format!("no route {}{which}", prefix.prefix)));
    }
    let mut outcome = Outcome::of(&Routes(answers.clone()), answers.len(), &asked, &failures, options);
    if let Some(hint) = prefix.and_then(PrefixArg::hint) {
        outcome.hint(&hint, options);
    }
    outcome
}

/// Asks for page after page until the end.
async fn all_pages(
    mut agent: Client,
    mut request: v1::ListRoutesRequest,
) -> Result<v1::ListRoutesResponse, Failure> {
    let mut all = v1::ListRoutesResponse::default();
    loop {
        let page = agent.list_routes(request.clone()).await;
        let page = page.map_err(|status| Failure::answered(&status))?.into_inner();
        all.node = page.node;
        all.routes.extend(page.routes);
        if page.next_page_token.is_empty() {
            all.routes.sort_by_cached_key(|route| order(&route.prefix));
            return Ok(all);
        }
        request.page_token = page.next_page_token;
    }
}

/// By family, address, length; what is not a prefix comes last.
fn order(prefix: &str) -> Option<(IpAddr, u8)> {
    let (address, length) = prefix.split_once('/')?;
    Some((address.parse().ok()?, length.parse().ok()?))
}

const COLUMNS: &[&str] = &["NODE", "PREFIX", "FROM", "NEXT-HOP", "AS-PATH", "VERDICT", "KERNEL"];
const MORE: &[&str] = &["PEER-ADDRESS", "ORIGIN", "LOCAL-PREF", "MED", "COMMUNITIES", "DETAIL"];

impl Render for Routes {
    type Document = Document;

    fn text(&self, style: Style) -> String {
        let columns = if style.is_wide() { [COLUMNS, MORE].concat() } else { COLUMNS.to_vec() };
        let mut table = Table::new(&columns, &["AS-PATH"]);
        for response in &self.0 {
            for route in &response.routes {
                for (rank, path) in route.paths.iter().enumerate() {
                    // What the kernel holds is of the paths in use; without one it
                    // is shown once.
                    let kernel = route.kernel.as_ref().filter(|_| path.selected || rank == 0);
                    let mut row = brief(&response.node, &route.prefix, path);
                    row.push(kernel.map(self::kernel).unwrap_or_default());
                    if style.is_wide() {
                        row.extend(more(path));
                    }
                    table.row(row);
                }
            }
        }
        table.render(style)
    }

    fn documents(&self) -> Vec<Document> {
        self.0.iter().map(Document::new).collect()
    }
}

fn brief(node: &str, prefix: &str, path: &v1::Path) -> Vec<String> {
    let from = match &path.source {
        Some(v1::path::Source::Peer(peer)) => text::with_path_id(&peer.name, path.path_id),
        Some(v1::path::Source::Local(_)) => "local".to_owned(),
        None => String::new(),
    };
    let attributes = path.attributes.as_ref();
    // What the node originates has no next hop but the node.
    let next_hop = attributes.filter(|_| from != "local").map(|attributes| attributes.next_hop.clone());
    vec![
        node.to_owned(),
        prefix.to_owned(),
        from,
        next_hop.unwrap_or_default(),
        text::as_path(attributes),
        path.verdict.clone(),
    ]
}

fn kernel(kernel: &v1::KernelRoute) -> String {
    match kernel.state() {
        v1::KernelState::NotRequested | v1::KernelState::Unspecified => String::new(),
        v1::KernelState::Pending => "pending".to_owned(),
        v1::KernelState::Installed => "installed".to_owned(),
        v1::KernelState::Failed => "failed".to_owned(),
    }
}

fn more(path: &v1::Path) -> Vec<String> {
    let address = match &path.source {
        Some(v1::path::Source::Peer(peer)) => peer.address.clone(),
        _ => String::new(),
    };
    let attributes = path.attributes.clone().unwrap_or_default();
    let communities = [&attributes.communities, &attributes.large_communities];
    vec![
        address,
        text::word(attributes.origin().as_str_name(), "PATH_ORIGIN_"),
        text::number(attributes.local_preference),
        text::number(attributes.med),
        communities
            .map(|communities| communities.join(","))
            .into_iter()
            .filter(|c| !c.is_empty())
            .collect::<Vec<_>>()
            .join(","),
        path.detail.clone(),
    ]
}
