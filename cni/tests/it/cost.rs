//! What a call costs: wall time, CPU and memory of the plugin's process and of those that it starts.

use std::io::{PipeReader, PipeWriter, Read, Write};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use labs::wait;
use nix::sys::resource::{UsageWho, getrusage};
use serde_json::Value;

use crate::node::{Node, Pod, REFERENCE, spawn};

/// Wall time and CPU of one call, with those of its children.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Cost {
    pub(crate) wall: Duration,
    pub(crate) cpu: Duration,
}

impl std::ops::AddAssign for Cost {
    fn add_assign(&mut self, other: Self) {
        self.wall += other.wall;
        self.cpu += other.cpu;
    }
}

/// Milliseconds with one decimal.
pub(crate) fn ms(time: Duration) -> String {
    format!("{:.1}", time.as_secs_f64() * 1_000.0)
}

/// The least of each, in milliseconds.
pub(crate) fn least(costs: &[Cost]) -> String {
    let least = |of: fn(&Cost) -> Duration| costs.iter().map(of).min().unwrap_or_default();
    format!("{} / {}", ms(least(|cost| cost.wall)), ms(least(|cost| cost.cpu)))
}

/// What keeps the machine busy besides, for people.
pub(crate) fn load() -> String {
    std::fs::read_to_string("/proc/loadavg").expect("the kernel tells").trim().to_owned()
}

/// CPU of all children that have ended.
pub(crate) fn spent() -> Duration {
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN).expect("the kernel tells");
    let time = |value: nix::sys::time::TimeVal| {
        Duration::from_micros(u64::try_from(value.tv_sec() * 1_000_000 + value.tv_usec()).unwrap_or_default())
    };
    time(usage.user_time()) + time(usage.system_time())
}

fn command(program: &str, verb: &str, pod: &Pod) -> Command {
    let mut command = Command::new(program);
    // Some of the reference plugins call other programs.
    let path = std::env::var_os("PATH").unwrap_or_default();
    command
        .env_clear()
        .env("PATH", path)
        .env("CNI_COMMAND", verb)
        .env("CNI_PATH", REFERENCE)
        .env("CNI_IFNAME", "eth0");
    command.env("CNI_CONTAINERID", &pod.id).env("CNI_NETNS", pod.netns.path()).stdin(Stdio::piped());
    command
}

/// One call and its answer. The program is started in the node's namespace by this process itself, so that nothing
/// but the plugin is measured.
pub(crate) fn call(node: &Node, program: &str, verb: &str, pod: &Pod, conf: &Value) -> (Cost, Value) {
    let text = conf.to_string();
    node.netns.enter(|| {
        let (start, before) = (Instant::now(), spent());
        let output = spawn(command(program, verb, pod), &text).wait_with_output().expect("the plugin ends");
        let cost = Cost { wall: start.elapsed(), cpu: spent().saturating_sub(before) };
        assert!(output.status.success(), "{program} {verb}: {}", String::from_utf8_lossy(&output.stdout));
        (cost, serde_json::from_slice(&output.stdout).unwrap_or_default())
    })
}

/// The most memory that a call of ADD has had, in kilobytes: it is looked at while it waits to write its result.
pub(crate) fn memory(node: &Node, program: &str, pod: &Pod, conf: &Value) -> u64 {
    let (reader, writer) = full_pipe();
    let mut command = node.netns.exec(program, [] as [&str; 0]);
    command.env_clear().env("CNI_COMMAND", "ADD").env("CNI_PATH", REFERENCE).env("CNI_IFNAME", "eth0");
    command.env("CNI_CONTAINERID", &pod.id).env("CNI_NETNS", pod.netns.path());
    command.stdin(Stdio::piped()).stdout(writer);
    let mut child = command.spawn().expect("the plugin starts");
    drop(command);
    child.stdin.take().expect("a pipe").write_all(conf.to_string().as_bytes()).expect("it reads");
    let file = |name: &str| format!("/proc/{}/{name}", child.id());
    // write(1, …): x86-64 calls it 1, arm64 64.
    wait::until("the plugin to write", Duration::from_secs(20), || {
        let call = std::fs::read_to_string(file("syscall")).unwrap_or_default();
        call.starts_with("1 0x1 ") || call.starts_with("64 0x1 ")
    });
    let status = std::fs::read_to_string(file("status")).expect("it runs");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("a high water mark");
    let kilobytes = line.trim().trim_end_matches(" kB").parse().expect("a number");
    drain(reader);
    assert!(child.wait().expect("it ends").success());
    kilobytes
}

/// A pipe that takes no more byte.
fn full_pipe() -> (PipeReader, PipeWriter) {
    let (reader, mut writer) = std::io::pipe().expect("a pipe");
    let size = nix::fcntl::fcntl(&writer, nix::fcntl::FcntlArg::F_GETPIPE_SZ).expect("a size");
    writer.write_all(&vec![b' '; usize::try_from(size).expect("a size")]).expect("room");
    (reader, writer)
}

fn drain(mut reader: PipeReader) {
    let mut rest = Vec::new();
    reader.read_to_end(&mut rest).expect("it is read");
}
