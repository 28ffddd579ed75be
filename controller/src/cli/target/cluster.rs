//! The cluster that a kubeconfig names, and its agents: a pod on each node.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use api::crd::FabricNode;
use clap::Args;
use k8s_openapi::api::core::v1::{ContainerStatus, Pod};
use kube::api::ListParams;
use kube::config::{Config, KubeConfigOptions, Kubeconfig};
use kube::{Api, Client, ResourceExt};

use crate::cli::failure::{Exit, Failure};
use crate::cluster::kubernetes::trouble::chain;

/// Which pods are agents, in `manifests/`.
const LABELS: &str = "app.kubernetes.io/name=underlay,app.kubernetes.io/component=agent";

/// The container of an agent in its pod.
pub(super) const CONTAINER: &str = "agent";

/// The namespace of `manifests/`.
const NAMESPACE: &str = "underlay-system";

/// How long the API server may take to answer.
const DEADLINE: Duration = Duration::from_secs(8);

/// How long a connection to it may take to come up.
const CONNECT: Duration = Duration::from_secs(5);

/// Which cluster, and which of its nodes.
#[derive(Args, Clone, Debug, Default)]
pub struct ClusterArgs {
    /// Ask the agents of all nodes of a cluster, by pods/exec
    #[arg(long)]
    pub cluster: bool,
    /// Ask the agent of this node of a cluster alone; repeat it (or separate by `,`) for several
    #[arg(long = "node", value_name = "NAME", value_delimiter = ',')]
    pub nodes: Vec<String>,
    /// The cluster's kubeconfig, instead of $KUBECONFIG or ~/.kube/config
    #[arg(long, value_name = "FILE")]
    pub kubeconfig: Option<PathBuf>,
    /// The context of the kubeconfig, instead of its current one
    #[arg(long, value_name = "NAME")]
    pub context: Option<String>,
    /// The namespace of the agents' pods
    #[arg(long, value_name = "NAME", default_value = NAMESPACE)]
    pub namespace: String,
}

impl ClusterArgs {
    /// Whether one of the arguments that mean a cluster is there.
    #[must_use]
    pub fn is_meant(&self) -> bool {
        self.cluster || !self.nodes.is_empty() || self.kubeconfig.is_some() || self.context.is_some()
    }
}

/// Whether a kubeconfig is where kubectl looks for one.
pub(super) fn has_kubeconfig() -> bool {
    let at_home = || std::env::home_dir().is_some_and(|home| home.join(".kube/config").is_file());
    std::env::var_os("KUBECONFIG").map_or_else(at_home, |value| !value.is_empty())
}

/// A cluster that was reached.
#[derive(Clone)]
pub struct Cluster {
    /// The way to its API server.
    pub client: Client,
    namespace: String,
    server: String,
}

impl fmt::Debug for Cluster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cluster").field("server", &self.server).finish_non_exhaustive()
    }
}

/// The agent of a node.
#[derive(Clone, Debug)]
pub struct Agent {
    /// The node.
    pub node: String,
    /// The name of its pod, or why it cannot be asked.
    pub pod: Result<String, String>,
    pub(super) cluster: Cluster,
}

impl Agent {
    /// Looks which pod it is in by now; where that is not to be found out it is the one of before.
    pub(super) async fn look_again(&mut self) {
        if let Ok([found]) = self.cluster.agents(std::slice::from_ref(&self.node)).await.as_deref() {
            *self = found.clone();
        }
    }
}

impl Cluster {
    /// The cluster of these arguments. Nothing is asked of it yet.
    ///
    /// # Errors
    /// A kubeconfig that cannot be read, or none.
    pub async fn reach(args: &ClusterArgs) -> Result<Self, Failure> {
        let failed = |message: String| Failure::new(Exit::Unreachable, message);
        let mut config = config(args).await.map_err(failed)?;
        config.connect_timeout = Some(CONNECT);
        let server = config.cluster_url.to_string().trim_end_matches('/').to_owned();
        let client = Client::try_from(config).map_err(|error| failed(chain(&error)))?;
        Ok(Self { client, namespace: args.namespace.clone(), server })
    }

    /// The cluster for people.
    #[must_use]
    pub fn description(&self) -> String {
        format!("the cluster at {}", self.server)
    }

    /// The namespace of the agents' pods.
    pub(super) fn namespace(&self) -> &str {
        &self.namespace
    }

    /// Objects of the API, if they are there within the deadline.
    ///
    /// # Errors
    /// What the API server answers, or does not.
    pub async fn ask<T>(&self, what: &str, ask: impl Future<Output = kube::Result<T>>) -> Result<T, Failure> {
        let failed =
            |exit, why: String| Failure::new(exit, format!("{what} of {}: {why}", self.description()));
        match tokio::time::timeout(DEADLINE, ask).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(kube::Error::Api(status))) if status.is_not_found() => {
                Err(failed(Exit::Missing, "there is none".to_owned()))
            }
            Ok(Err(kube::Error::Api(status))) => Err(failed(Exit::Failed, status.message.clone())),
            Ok(Err(error)) => Err(failed(Exit::Unreachable, chain(&error))),
            Err(_) => Err(failed(Exit::Unreachable, "no answer in time".to_owned())),
        }
    }

    /// The agents of these nodes, of all if none is named, ordered by name. A node with a report (FabricNode) and
    /// without a pod is one that cannot be asked.
    ///
    /// # Errors
    /// An API server that does not list pods; a node that is named and not there; no agent at all.
    pub async fn agents(&self, nodes: &[String]) -> Result<Vec<Agent>, Failure> {
        let pods = Api::<Pod>::namespaced(self.client.clone(), &self.namespace);
        let list = ListParams::default().labels(LABELS);
        let pods = self.ask("the agents' pods", pods.list(&list)).await?;
        let mut agents = BTreeMap::<String, Result<String, String>>::new();
        // Who may not list them, and a cluster that has none, goes without.
        let reports = Api::<FabricNode>::all(self.client.clone());
        if let Ok(reports) = self.ask("FabricNodes", reports.list(&ListParams::default())).await {
            let without = format!("no pod of an agent is on it in namespace {}", self.namespace);
            agents.extend(reports.iter().map(|node| (node.name_any(), Err(without.clone()))));
        }
        for pod in pods {
            let Some(node) = pod.spec.as_ref().and_then(|spec| spec.node_name.clone()) else { continue };
            let found = running(&pod);
            // While one takes over from another, that which runs.
            if found.is_ok() || !agents.get(&node).is_some_and(Result::is_ok) {
                agents.insert(node, found);
            }
        }
        if agents.is_empty() {
            let why = format!("no agents in namespace {} of {}", self.namespace, self.description());
            return Err(Failure::new(Exit::Unreachable, why));
        }
        if let Some(unknown) = nodes.iter().find(|node| !agents.contains_key(*node)) {
            let known: Vec<&str> = agents.keys().map(String::as_str).collect();
            let why = format!("no node `{unknown}` with an agent; there are {}", known.join(", "));
            return Err(Failure::new(Exit::Missing, why));
        }
        agents.retain(|node, _| nodes.is_empty() || nodes.contains(node));
        let agent = |(node, pod)| Agent { node, pod, cluster: self.clone() };
        Ok(agents.into_iter().map(agent).collect())
    }
}

async fn config(args: &ClusterArgs) -> Result<Config, String> {
    let options = KubeConfigOptions { context: args.context.clone(), ..KubeConfigOptions::default() };
    let read = |path: &Path| {
        Kubeconfig::read_from(path)
            .map_err(|error| format!("kubeconfig {}: {}", path.display(), chain(&error)))
    };
    let kubeconfig = match &args.kubeconfig {
        Some(path) => read(path)?,
        None if !has_kubeconfig() => {
            // A pod with rights of its own.
            let none = "no --kubeconfig, no $KUBECONFIG and no ~/.kube/config";
            return Config::incluster().map_err(|_| none.to_owned());
        }
        None => Kubeconfig::read().map_err(|error| format!("kubeconfig: {}", chain(&error)))?,
    };
    Config::from_custom_kubeconfig(kubeconfig, &options)
        .await
        .map_err(|error| format!("kubeconfig: {}", chain(&error)))
}

/// The name of a pod whose agent runs, or why it does not.
fn running(pod: &Pod) -> Result<String, String> {
    let name = pod.name_any();
    let status = pod.status.clone().unwrap_or_default();
    let agent = status.container_statuses.unwrap_or_default();
    let agent = agent.into_iter().find(|container| container.name == CONTAINER);
    let state = agent.as_ref().and_then(|container| container.state.clone()).unwrap_or_default();
    if state.running.is_some() {
        return Ok(name);
    }
    let waits = state.waiting.and_then(|waiting| waiting.reason);
    let ended = state.terminated.and_then(|terminated| terminated.reason);
    let phase = status.phase.unwrap_or_else(|| "Unknown".to_owned());
    let why = waits.or(ended).unwrap_or(phase);
    let starts = agent.map_or(0, |ContainerStatus { restart_count, .. }| restart_count);
    let again = if starts > 0 { format!(", started again {starts} times") } else { String::new() };
    Err(format!("its agent does not run: pod {name} is {why}{again}"))
}
