//! `underlay pool-controller`: gives addresses to Services of type LoadBalancer. What it does stands in
//! [`crate::pool`].

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use jiff::SignedDuration;

use crate::cluster::kubernetes::Access;
use crate::pool::Settings;

/// The loadBalancerClass of the Services that are ours.
const CLASS: &str = "underlay.dev/fabric-pool";

/// The arguments of the controller.
#[derive(Args, Clone, Debug)]
pub struct PoolArgs {
    /// Who this is among the controllers: the name of its pod
    #[arg(long, env = "UNDERLAY_POD", value_name = "NAME")]
    pub identity: String,
    /// How to reach the Kubernetes API; a pod needs none
    #[arg(long, env = "UNDERLAY_KUBECONFIG", value_name = "FILE")]
    pub kubeconfig: Option<PathBuf>,
    /// The API server's own address, instead of a Service's
    #[arg(long, env = "UNDERLAY_API_SERVER", value_name = "URL")]
    pub api_server: Option<String>,
    /// The namespace of the Lease, instead of the pod's own
    #[arg(long, env = "UNDERLAY_NAMESPACE", value_name = "NAME")]
    pub namespace: Option<String>,
    /// The loadBalancerClass of the Services that get addresses
    #[arg(long, value_name = "CLASS", default_value = CLASS)]
    pub class: String,
    /// Leave Services without a loadBalancerClass to others
    #[arg(long)]
    pub class_only: bool,
    /// How long a leader may be silent before another one tries to lead
    #[arg(long, value_name = "DURATION", default_value = "15s", value_parser = patience)]
    pub lease_duration: Duration,
}

fn patience(text: &str) -> Result<Duration, String> {
    let duration: SignedDuration = text.parse().map_err(|_| "not a time such as 15s".to_owned())?;
    Duration::try_from(duration).ok().filter(|time| time.as_secs() >= 3).ok_or("at least 3s".to_owned())
}

impl From<PoolArgs> for Settings {
    fn from(args: PoolArgs) -> Self {
        let PoolArgs { identity, kubeconfig, api_server, namespace, class, class_only, lease_duration } =
            args;
        let access = Access { kubeconfig, server: api_server, namespace };
        Self { access, identity, class, default: !class_only, patience: lease_duration }
    }
}
