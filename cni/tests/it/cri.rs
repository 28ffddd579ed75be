//! What a kubelet says to a runtime (CRI, `runtime.v1`), as far as the tests say it.
//!
//! The messages hold the fields that are used, by the numbers of the runtime's proto; protobuf skips the others.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use tokio::runtime::Runtime;
use tonic::client::Grpc;
use tonic::codegen::http::uri::PathAndQuery;
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Status};
use tonic_prost::ProstCodec;

/// A pod is there within a second; a busy machine with fifty of them gets more.
const LIMIT: Duration = Duration::from_secs(60);

/// A pod as it is asked for.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct PodConfig {
    #[prost(message, optional, tag = "1")]
    pub(crate) metadata: Option<PodMetadata>,
    #[prost(message, repeated, tag = "5")]
    pub(crate) port_mappings: Vec<PortMapping>,
    #[prost(btree_map = "string, string", tag = "7")]
    pub(crate) annotations: BTreeMap<String, String>,
    #[prost(message, optional, tag = "8")]
    pub(crate) linux: Option<LinuxPodConfig>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct PodMetadata {
    #[prost(string, tag = "1")]
    pub(crate) name: String,
    #[prost(string, tag = "2")]
    pub(crate) uid: String,
    #[prost(string, tag = "3")]
    pub(crate) namespace: String,
}

/// A mapping; the protocol is 0 for TCP, 1 for UDP, 2 for SCTP.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct PortMapping {
    #[prost(int32, tag = "1")]
    pub(crate) protocol: i32,
    #[prost(int32, tag = "2")]
    pub(crate) container_port: i32,
    #[prost(int32, tag = "3")]
    pub(crate) host_port: i32,
}

/// Empty: the runtime's defaults.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct LinuxPodConfig {}

#[derive(Clone, PartialEq, prost::Message)]
struct RunPod {
    #[prost(message, optional, tag = "1")]
    config: Option<PodConfig>,
}

/// The id of a pod or of a container, as question and as answer.
#[derive(Clone, PartialEq, prost::Message)]
struct Id {
    #[prost(string, tag = "1")]
    id: String,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Nothing {}

#[derive(Clone, PartialEq, prost::Message)]
struct PodStatusAnswer {
    #[prost(message, optional, tag = "1")]
    status: Option<PodStatus>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct PodStatus {
    /// 0 is ready.
    #[prost(int32, tag = "3")]
    state: i32,
    #[prost(message, optional, tag = "5")]
    network: Option<NetworkStatus>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct NetworkStatus {
    #[prost(string, tag = "1")]
    first: String,
    #[prost(message, repeated, tag = "2")]
    others: Vec<Id>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Pods {
    #[prost(message, repeated, tag = "1")]
    items: Vec<Id>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct CreateContainer {
    #[prost(string, tag = "1")]
    pod: String,
    #[prost(message, optional, tag = "2")]
    config: Option<ContainerConfig>,
    #[prost(message, optional, tag = "3")]
    pod_config: Option<PodConfig>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct ContainerConfig {
    /// The name is the first field of the metadata.
    #[prost(message, optional, tag = "1")]
    metadata: Option<Id>,
    /// The image's name is the first field of its specification.
    #[prost(message, optional, tag = "2")]
    image: Option<Id>,
    #[prost(string, repeated, tag = "3")]
    command: Vec<String>,
    /// Empty, but there: a container is of an operating system.
    #[prost(message, optional, tag = "15")]
    linux: Option<Nothing>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct StatusAnswer {
    #[prost(message, optional, tag = "1")]
    status: Option<RuntimeStatus>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct RuntimeStatus {
    #[prost(message, repeated, tag = "1")]
    conditions: Vec<Condition>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Condition {
    #[prost(string, tag = "1")]
    kind: String,
    #[prost(bool, tag = "2")]
    holds: bool,
    #[prost(string, tag = "4")]
    message: String,
}

/// A connection to a runtime.
pub(crate) struct Cri {
    runtime: Runtime,
    channel: Channel,
}

impl Cri {
    /// Connects on first use; a runtime that was restarted is found again.
    pub(crate) fn new(socket: &Path) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let runtime = runtime.expect("a runtime");
        let endpoint = Endpoint::from_shared(format!("unix://{}", socket.display())).expect("a path");
        let channel = runtime.block_on(async { endpoint.timeout(LIMIT).connect_lazy() });
        Self { runtime, channel }
    }

    async fn ask<Q, A>(channel: Channel, method: &str, question: Q) -> Result<A, Status>
    where
        Q: prost::Message + 'static,
        A: prost::Message + Default + 'static,
    {
        let mut grpc = Grpc::new(channel);
        grpc.ready().await.map_err(|error| Status::unavailable(error.to_string()))?;
        let path = format!("/runtime.v1.RuntimeService/{method}").parse::<PathAndQuery>().expect("a path");
        let codec = ProstCodec::<Q, A>::default();
        grpc.unary(Request::new(question), path, codec).await.map(tonic::Response::into_inner)
    }

    fn call<Q, A>(&self, method: &str, question: Q) -> Result<A, Status>
    where
        Q: prost::Message + 'static,
        A: prost::Message + Default + 'static,
    {
        self.runtime.block_on(Self::ask(self.channel.clone(), method, question))
    }

    /// Whether the runtime can make pods, or why not.
    pub(crate) fn network_ready(&self) -> Result<(), String> {
        let answer: StatusAnswer =
            self.call("Status", Nothing {}).map_err(|status| status.message().to_owned())?;
        let conditions = answer.status.unwrap_or_default().conditions;
        match conditions.into_iter().find(|condition| condition.kind == "NetworkReady") {
            Some(condition) if condition.holds => Ok(()),
            Some(condition) => Err(condition.message),
            None => Err("the runtime does not tell".into()),
        }
    }

    /// Makes each pod, all at once; the id of each, or why there is none.
    pub(crate) fn run(&self, pods: &[PodConfig]) -> Vec<Result<String, Status>> {
        self.each("RunPodSandbox", pods.iter().map(|pod| RunPod { config: Some(pod.clone()) }))
            .into_iter()
            .map(|answer: Result<Id, Status>| answer.map(|answer| answer.id))
            .collect()
    }

    /// Stops and removes each pod, all at once, as a kubelet does.
    #[track_caller]
    pub(crate) fn remove(&self, ids: &[String]) {
        for method in ["StopPodSandbox", "RemovePodSandbox"] {
            let answers: Vec<Result<Nothing, Status>> =
                self.each(method, ids.iter().map(|id| Id { id: id.clone() }));
            for answer in answers {
                answer.unwrap_or_else(|status| panic!("{method}: {status}"));
            }
        }
    }

    fn each<Q, A>(&self, method: &'static str, questions: impl Iterator<Item = Q>) -> Vec<Result<A, Status>>
    where
        Q: prost::Message + 'static,
        A: prost::Message + Default + 'static,
    {
        let ask = |question| self.runtime.spawn(Self::ask(self.channel.clone(), method, question));
        let tasks: Vec<_> = questions.map(ask).collect();
        let ended = tasks.into_iter().map(|task| self.runtime.block_on(task).expect("the task ends"));
        ended.collect()
    }

    /// The ids of all pods that the runtime knows.
    #[track_caller]
    pub(crate) fn pods(&self) -> Vec<String> {
        let pods: Pods = self.call("ListPodSandbox", Nothing {}).expect("a list");
        pods.items.into_iter().map(|pod| pod.id).collect()
    }

    /// The addresses of a pod that is ready.
    #[track_caller]
    pub(crate) fn addresses(&self, id: &str) -> Vec<String> {
        let answer: PodStatusAnswer = self.call("PodSandboxStatus", Id { id: id.into() }).expect("a status");
        let status = answer.status.expect("a status");
        assert_eq!(status.state, 0, "pod {id} is not ready");
        let network = status.network.expect("a network");
        std::iter::once(network.first).chain(network.others.into_iter().map(|other| other.id)).collect()
    }

    /// Starts a container of `image` in a pod.
    #[track_caller]
    pub(crate) fn start(&self, pod: (&str, &PodConfig), image: &str, command: &[&str]) {
        let named = |id: &str| Some(Id { id: id.into() });
        let config = ContainerConfig {
            metadata: named("main"),
            image: named(image),
            command: command.iter().map(|&word| word.to_owned()).collect(),
            linux: Some(Nothing {}),
        };
        let create =
            CreateContainer { pod: pod.0.into(), config: Some(config), pod_config: Some(pod.1.clone()) };
        let container: Id = self.call("CreateContainer", create).expect("a container");
        let _: Nothing = self.call("StartContainer", container).expect("it starts");
    }
}
