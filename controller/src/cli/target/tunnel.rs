//! The way to an agent in a pod: `underlay relay` there, started by pods/exec, joins its stdin and stdout with the
//! agent's socket. Its first line says that it has done so; what comes after is the agent's.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::{AttachParams, AttachedProcess};
use kube::client::UpgradeConnectionError;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, Join, ReadBuf, ReadHalf, SimplexStream, WriteHalf};

use super::cluster::{Agent, CONTAINER};
use crate::cli::failure::{Exit, Failure};
use crate::cluster::kubernetes::trouble::chain;

/// What `relay` says once it has reached the agent.
pub const GREETING: &str = "underlay-relay 1\n";

/// Octets under way in each direction.
const BUFFER: usize = 64 << 10;

/// As much as is read of what a program complains of.
const COMPLAINT: u64 = 4096;

/// A connection to an agent's socket. Dropping it ends the program in the pod.
pub struct Tunnel {
    stream: Join<ReadHalf<SimplexStream>, WriteHalf<SimplexStream>>,
    /// Ends with the tunnel.
    _process: AttachedProcess,
}

impl Tunnel {
    /// Connects to the agent's socket, or to the operator's beside it.
    ///
    /// # Errors
    /// A pod in which nothing can be run, or an agent that `relay` there does not reach.
    pub async fn open(agent: &Agent, operator: bool) -> Result<Self, Failure> {
        let failed = |message: String| Failure::new(Exit::Unreachable, message);
        let pod = agent.pod.as_ref().map_err(|why| failed(why.clone()))?;
        let pods = Api::<Pod>::namespaced(agent.cluster.client.clone(), agent.cluster.namespace());
        let params = AttachParams::default()
            .container(CONTAINER)
            .stdin(true)
            .max_stdin_buf_size(BUFFER)
            .max_stdout_buf_size(BUFFER);
        let command = ["underlay", "relay"].into_iter().chain(operator.then_some("--operator"));
        let mut process =
            pods.exec(pod, command, &params).await.map_err(|error| failed(refusal(pod, &error)))?;
        let (Some(stdin), Some(mut stdout)) = (process.stdin(), process.stdout()) else {
            return Err(failed(format!("pod {pod}: the program there has no stdin or no stdout")));
        };
        let mut greeting = vec![0; GREETING.len()];
        match stdout.read_exact(&mut greeting).await {
            Ok(_) if greeting == GREETING.as_bytes() => {
                Ok(Self { stream: tokio::io::join(stdout, stdin), _process: process })
            }
            Ok(_) => Err(failed(format!("pod {pod}: its `underlay relay` is of another version"))),
            Err(_) => Err(failed(complaint(pod, process).await)),
        }
    }
}

/// Why the API server does not run a program in the pod.
fn refusal(pod: &str, error: &kube::Error) -> String {
    let (code, message) = match error {
        kube::Error::Api(status) => (status.code, status.message.clone()),
        kube::Error::UpgradeConnection(UpgradeConnectionError::ProtocolSwitch(code)) => {
            (code.as_u16(), format!("it answers {code}"))
        }
        error => (0, chain(error)),
    };
    match code {
        401 | 403 => format!("pod {pod}: you may not run a program in it: {message}"),
        404 => format!("pod {pod}: it is gone"),
        _ => format!("pod {pod}: the API server does not run a program in it: {message}"),
    }
}

/// Why the program in the pod ended.
async fn complaint(pod: &str, mut process: AttachedProcess) -> String {
    let mut said = Vec::new();
    if let Some(stderr) = process.stderr() {
        // What was read until then is all there is.
        let _ = stderr.take(COMPLAINT).read_to_end(&mut said).await;
    }
    let said = String::from_utf8_lossy(&said);
    let line = said.lines().map(str::trim).find(|line| !line.is_empty()).map(str::to_owned);
    let status = match process.take_status() {
        Some(status) => status.await.and_then(|status| status.message),
        None => None,
    };
    let why = line.or(status).unwrap_or_else(|| "it says nothing".to_owned());
    format!("pod {pod}: `underlay relay` ended: {}", why.trim_start_matches("underlay: "))
}

impl AsyncRead for Tunnel {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, into)
    }
}

impl AsyncWrite for Tunnel {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        octets: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, octets)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
