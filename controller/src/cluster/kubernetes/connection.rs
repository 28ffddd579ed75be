//! Where the API server is, who the agent is to it, and the client for both.
//!
//! No address in here depends on a proxy on the node: the agent brings up the
//! network that such a proxy needs, so the API server's own address can be named.

use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use kube::Client;
use kube::config::{Config, KubeConfigOptions, Kubeconfig};

use super::trouble::{Trouble, chain};

/// The namespace of the agent where nobody names one.
const NAMESPACE: &str = "underlay-system";

/// How long a connection may take to come up: a node in the same building answers in a millisecond.
const CONNECT: Duration = Duration::from_secs(5);

/// The least time between two readings of the credentials.
const RENEWAL: Duration = Duration::from_secs(10);

/// How the API server is reached.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Access {
    /// A kubeconfig; without one the agent is a pod with a ServiceAccount.
    pub kubeconfig: Option<PathBuf>,
    /// The API server's own address, instead of the one that the kubeconfig or the pod's environment names.
    pub server: Option<String>,
    /// The namespace of the agent and of its Secrets, instead of the one that the kubeconfig or the pod names.
    pub namespace: Option<String>,
}

impl Access {
    /// What is used, for people.
    #[must_use]
    pub fn description(&self) -> String {
        match (&self.server, &self.kubeconfig) {
            (Some(server), _) => format!("Kubernetes API {server}"),
            (None, Some(path)) => format!("Kubernetes API of kubeconfig {}", path.display()),
            (None, None) => "Kubernetes API of this cluster".to_owned(),
        }
    }

    async fn config(&self) -> Result<Config, Trouble> {
        let mut config = match &self.kubeconfig {
            Some(path) => {
                let wrong = |error: &dyn std::error::Error| {
                    Trouble::local(format!("kubeconfig {}: {}", path.display(), chain(error)))
                };
                let mut kubeconfig = Kubeconfig::read_from(path).map_err(|error| wrong(&error))?;
                for context in kubeconfig.contexts.iter_mut().filter_map(|named| named.context.as_mut()) {
                    context.namespace.get_or_insert_with(|| NAMESPACE.to_owned());
                }
                let options = KubeConfigOptions::default();
                Config::from_custom_kubeconfig(kubeconfig, &options).await.map_err(|error| wrong(&error))?
            }
            // The environment's address would be replaced, and a static pod has none.
            None if self.server.is_some() => Config::incluster_dns().map_err(not_in_cluster)?,
            None => Config::incluster_env().map_err(not_in_cluster)?,
        };
        if let Some(server) = &self.server {
            config.cluster_url = server
                .parse()
                .map_err(|error| Trouble::local(format!("API server `{server}` is not an URL: {error}")))?;
        }
        if let Some(namespace) = &self.namespace {
            config.default_namespace.clone_from(namespace);
        }
        config.connect_timeout = Some(CONNECT);
        // Pauses and what is told of failures are the feeds' own.
        config.default_retry = false;
        Ok(config)
    }
}

fn not_in_cluster(error: impl std::error::Error) -> Trouble {
    Trouble::local(format!(
        "no --manifests and no --kubeconfig, and this is no pod with a ServiceAccount: {}",
        chain(&error)
    ))
}

/// A client, the namespace of the agent, and the server's address for people.
#[derive(Clone)]
pub struct Linked {
    /// The client.
    pub client: Client,
    /// The namespace of the agent.
    pub namespace: Arc<str>,
    /// The server's address.
    pub server: Arc<str>,
}

/// The one connection of an agent, shared by all who ask.
#[derive(Clone)]
pub struct Connection {
    access: Access,
    linked: Arc<Mutex<Option<(Linked, Instant)>>>,
    /// How many nodes there were in the last list.
    nodes: Arc<AtomicUsize>,
}

impl Connection {
    /// A connection that is made when somebody first asks.
    #[must_use]
    pub fn new(access: Access) -> Self {
        Self { access, linked: Arc::default(), nodes: Arc::default() }
    }

    /// What it leads to, for people.
    #[must_use]
    pub fn description(&self) -> String {
        self.access.description()
    }

    /// Keeps how many nodes there are.
    pub(super) fn count(&self, nodes: usize) {
        self.nodes.store(nodes, Ordering::Relaxed);
    }

    /// How many nodes there are, each with an agent that asks the same server.
    pub(super) fn nodes(&self) -> usize {
        self.nodes.load(Ordering::Relaxed)
    }

    /// The client, made if there is none.
    ///
    /// # Errors
    /// A kubeconfig or a ServiceAccount that cannot be read.
    pub async fn linked(&self) -> Result<Linked, Trouble> {
        if let Some((linked, _)) = &*self.linked.lock().unwrap_or_else(PoisonError::into_inner) {
            return Ok(linked.clone());
        }
        let config = self.access.config().await?;
        let server = config.cluster_url.to_string().trim_end_matches('/').into();
        let namespace = config.default_namespace.as_str().into();
        let client = Client::try_from(config).map_err(|error| Trouble::local(chain(&error)))?;
        let linked = Linked { client, namespace, server };
        let slot = &mut *self.linked.lock().unwrap_or_else(PoisonError::into_inner);
        *slot = Some((linked.clone(), Instant::now()));
        Ok(linked)
    }

    /// The credentials were refused: they are read anew for the next attempt, as they may have been replaced.
    pub fn refused(&self) {
        let slot = &mut *self.linked.lock().unwrap_or_else(PoisonError::into_inner);
        if slot.as_ref().is_some_and(|(_, made_at)| made_at.elapsed() >= RENEWAL) {
            *slot = None;
        }
    }
}

impl std::fmt::Debug for Connection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connection").field("access", &self.access).finish_non_exhaustive()
    }
}
