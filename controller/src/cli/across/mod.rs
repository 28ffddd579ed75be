//! `explain` of a pod or a Service of a cluster: what the API server knows of it, what its own node makes of it, and what
//! every other node does with its addresses.

mod pod;
mod service;
mod whole;

use k8s_openapi::api::core::v1::{Pod, Service};
use kube::Api;

use super::failure::{Exit, Failure};
use super::options::Options;
use super::outcome::Outcome;
use super::target::{Cluster, Targets};

/// An object of the API server.
#[derive(Clone, Debug)]
pub(super) struct Wanted {
    pub(super) namespace: String,
    pub(super) name: String,
    /// Whether it may be a pod.
    pub(super) pod: bool,
    /// Whether it may be a Service.
    pub(super) service: bool,
}

impl Wanted {
    /// Namespace and name.
    fn full(&self) -> String {
        format!("{}/{}", self.namespace, self.name)
    }
}

pub(super) async fn explain(
    cluster: &Cluster,
    targets: &Targets,
    wanted: &Wanted,
    options: &Options,
) -> Outcome {
    match find(cluster, wanted).await {
        Ok(Found::Pod(found)) => pod::explain(targets, &wanted.full(), &found, options).await,
        Ok(Found::Service(found)) => service::explain(targets, &wanted.full(), &found, options).await,
        Err(failure) => Outcome::failed(&failure, options),
    }
}

enum Found {
    Pod(Box<Pod>),
    Service(Box<Service>),
}

async fn find(cluster: &Cluster, wanted: &Wanted) -> Result<Found, Failure> {
    let Wanted { namespace, name, .. } = wanted;
    if wanted.pod {
        let pods = Api::<Pod>::namespaced(cluster.client.clone(), namespace);
        if let Some(pod) = cluster.ask("the pod", pods.get_opt(name)).await? {
            return Ok(Found::Pod(Box::new(pod)));
        }
    }
    if wanted.service {
        let services = Api::<Service>::namespaced(cluster.client.clone(), namespace);
        if let Some(service) = cluster.ask("the Service", services.get_opt(name)).await? {
            return Ok(Found::Service(Box::new(service)));
        }
    }
    let kind = match (wanted.pod, wanted.service) {
        (true, true) => "neither a pod nor a Service",
        (true, _) => "no pod",
        _ => "no Service",
    };
    Err(Failure::new(
        Exit::Missing,
        format!("there is {kind} {} in {}", wanted.full(), cluster.description()),
    ))
}
