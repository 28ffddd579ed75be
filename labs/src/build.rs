//! The build of Kubernetes, beside whatever else is done.

use std::fs::{self, File};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use anyhow::{Context, ensure};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;

use crate::{cache, interrupt, namespace};

/// A build that runs at low priority; none where all is built. It ends with this value.
#[derive(Debug)]
pub struct Build {
    child: Option<Child>,
    log: PathBuf,
}

impl Build {
    /// Starts what is missing.
    ///
    /// # Errors
    /// A folder that cannot be written, or a script that cannot be started.
    pub fn start() -> anyhow::Result<Self> {
        let folder = cache::folder().join("kubernetes").join(cache::VERSION);
        let log = folder.join("log");
        if cache::has_kubernetes() {
            return Ok(Self { child: None, log });
        }
        fs::create_dir_all(&folder).with_context(|| folder.display().to_string())?;
        let out = File::create(&log).with_context(|| log.display().to_string())?;
        eprintln!("    building Kubernetes {} meanwhile, once; see {}", cache::VERSION, log.display());
        let mut command = Command::new("nice");
        command.arg(cache::script("build.sh")).arg(folder);
        command.stdin(Stdio::null()).stdout(out.try_clone()?).stderr(out).process_group(0);
        namespace::die_with_parent(&mut command);
        Ok(Self { child: Some(command.spawn().context("nice")?), log })
    }

    /// Waits for its end.
    ///
    /// # Errors
    /// A build that failed, with the end of what it said, and an interrupt.
    pub fn wait(&mut self) -> anyhow::Result<()> {
        if let Some(child) = &mut self.child {
            let status = interrupt::until("the build of Kubernetes", interrupt::FOREVER, || {
                child.try_wait().transpose()
            })??;
            self.child = None;
            let text = fs::read_to_string(&self.log).unwrap_or_default();
            let lines: Vec<&str> = text.lines().collect();
            let end = lines[lines.len().saturating_sub(12)..].join("\n");
            ensure!(
                status.success(),
                "labs/kubernetes/build.sh: {status}, see {}\n{end}",
                self.log.display()
            );
        }
        ensure!(cache::has_kubernetes(), "labs/kubernetes/build.sh left a program out");
        Ok(())
    }
}

impl Drop for Build {
    fn drop(&mut self) {
        let Some(child) = &mut self.child else { return };
        if let Ok(group) = i32::try_from(child.id()) {
            // Go's compilers are in the group too.
            let _ = killpg(Pid::from_raw(group), Signal::SIGKILL);
        }
        let _ = child.wait();
    }
}
