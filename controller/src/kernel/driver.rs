//! The driver's thread.

use std::io;
use std::thread::JoinHandle;

use tokio::sync::mpsc;

use super::command::{Command, KernelEvent};

/// The agent's end of the driver.
#[derive(Debug)]
pub struct Handle {
    commands: mpsc::UnboundedSender<Command>,
    thread: JoinHandle<()>,
}

impl Handle {
    /// Hands a command over; never blocks. A driver that has ended takes no notice.
    pub fn send(&self, command: Command) {
        // The receiver goes with the thread alone; what is sent after its end has no addressee.
        let _ = self.commands.send(command);
    }

    /// Sends [`Command::Shutdown`] and waits for the end; blocks. The receiver of the events must be drained or
    /// dropped meanwhile.
    pub fn join(self) {
        self.send(Command::Shutdown);
        drop(self.commands);
        if self.thread.join().is_err() {
            tracing::error!(event = "kernel-driver-panicked");
        }
    }
}

/// Starts the driver in the network namespace of the calling thread.
///
/// # Errors
/// Those of the sockets and of the thread.
pub fn spawn(events: mpsc::Sender<KernelEvent>) -> io::Result<Handle> {
    let (commands, mut queue) = mpsc::unbounded_channel();
    let thread = std::thread::Builder::new().name("kernel".into()).spawn(move || {
        while let Some(command) = queue.blocking_recv() {
            if matches!(command, Command::Shutdown) || events.is_closed() {
                break;
            }
        }
    })?;
    Ok(Handle { commands, thread })
}
