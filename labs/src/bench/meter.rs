//! CPU time and peak memory of the processes in a network namespace, and what else used the machine.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{Duration, Instant};

use nix::time::ClockId;
use nix::unistd::Pid;

/// Reads the figures of one namespace's processes.
#[derive(Debug)]
pub struct Meter {
    namespace: u64,
}

/// Figures since the processes started.
#[derive(Debug, Clone, Copy, Default)]
pub struct Usage {
    /// CPU time, in seconds.
    pub cpu: f64,
    /// The sum of each one's peak resident memory, in octets.
    pub memory: u64,
}

impl Meter {
    /// A meter for the namespace that `file` stands for.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn of(file: &Path) -> std::io::Result<Self> {
        Ok(Self { namespace: fs::metadata(file)?.ino() })
    }

    /// The numbers of the namespace's processes.
    #[must_use]
    pub fn processes(&self) -> Vec<u32> {
        let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
        let numbers = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
        let inside = |pid: &u32| {
            fs::metadata(format!("/proc/{pid}/ns/net")).is_ok_and(|file| file.ino() == self.namespace)
        };
        numbers.filter(inside).collect()
    }

    /// What they have used so far.
    #[must_use]
    pub fn read(&self) -> Usage {
        let mut usage = Usage::default();
        for pid in self.processes() {
            usage.cpu += cpu(pid).unwrap_or_default();
            usage.memory += peak(pid).unwrap_or_default();
        }
        usage
    }
}

/// Seconds on a CPU of all threads that a process has had.
fn cpu(pid: u32) -> Option<f64> {
    let clock = ClockId::pid_cpu_clock_id(Pid::from_raw(i32::try_from(pid).ok()?)).ok()?;
    Some(Duration::from(clock.now().ok()?).as_secs_f64())
}

fn peak(pid: u32) -> Option<u64> {
    let text = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok().map(|kib| kib * 1024)
}

/// The whole machine's CPU time at one moment.
#[derive(Debug, Clone, Copy)]
pub struct Machine {
    at: Instant,
    busy: f64,
}

impl Machine {
    /// The time that all CPUs together have been busy.
    #[must_use]
    pub fn read() -> Self {
        let text = fs::read_to_string("/proc/stat").unwrap_or_default();
        let fields = text.lines().next().unwrap_or_default().split_whitespace().skip(1);
        let ticks: Vec<f64> = fields.filter_map(|field| field.parse().ok()).collect();
        // user, nice, system, idle, iowait, irq, softirq, steal
        let busy: f64 = ticks
            .iter()
            .enumerate()
            .filter(|(index, _)| ![3, 4].contains(index))
            .map(|(_, t)| t)
            .take(6)
            .sum();
        // USER_HZ is 100 on every architecture that Debian knows.
        Self { at: Instant::now(), busy: busy / 100.0 }
    }

    /// How many CPUs were busy on average since then, with other work than `own` seconds of it.
    #[must_use]
    pub fn others(&self, own: f64) -> f64 {
        let later = Self::read();
        let time = later.at.duration_since(self.at).as_secs_f64();
        if time > 0.0 { ((later.busy - self.busy - own) / time).max(0.0) } else { 0.0 }
    }
}
