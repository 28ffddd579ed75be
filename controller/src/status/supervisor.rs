//! Keeps a service up until it is told to end. What ends by itself, with an
//! error, with a panic or without a word, is logged and started again: sessions
//! and routes do not depend on who looks at them.

use std::time::Duration;

use tokio::sync::watch;

/// The pause before a service that ended is started again: long enough that a
/// lasting fault costs nothing, short enough for a person to wait for.
pub const PAUSE: Duration = Duration::from_secs(1);

/// Runs what `serve` makes, over and over, until the other end of `stop` goes;
/// then waits for the one that runs, which is told in the same way.
pub async fn keep<F, E>(mut serve: impl FnMut() -> F, stop: watch::Receiver<()>, pause: Duration)
where
    F: Future<Output = Result<(), E>> + Send + 'static,
    E: std::fmt::Display + Send + 'static,
{
    while stop.has_changed().is_ok() {
        let reason = match tokio::spawn(serve()).await {
            Ok(Ok(())) => "it ended by itself".to_owned(),
            Ok(Err(error)) => format!("{error:#}"),
            Err(error) => error.to_string(),
        };
        if stop.has_changed().is_err() {
            return;
        }
        tracing::error!(event = "status-service-ended", reason);
        // Cut short by the end; both are a reason to look again.
        let _ = tokio::time::timeout(pause, stopped(stop.clone())).await;
    }
}

/// Done when the other end of `stop` goes.
pub async fn stopped(mut stop: watch::Receiver<()>) {
    while stop.changed().await.is_ok() {}
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::{Arc, Mutex};

    use super::*;

    /// Fails, panics, ends; the fourth one serves until it is told to end.
    #[tokio::test]
    async fn what_ends_is_started_again() {
        let (stop, stopping) = watch::channel(());
        let stop = Arc::new(Mutex::new(Some(stop)));
        let count = Arc::new(AtomicUsize::new(0));
        let serve = || {
            let (stopping, stop) = (stopping.clone(), Arc::clone(&stop));
            let number = count.fetch_add(1, Ordering::SeqCst);
            async move {
                match number {
                    0 => Err("the socket failed"),
                    1 => panic!("a fault of the service"),
                    2 => Ok(()),
                    _ => {
                        drop(stop.lock().map(|mut stop| stop.take()));
                        stopped(stopping).await;
                        Ok(())
                    }
                }
            }
        };
        let kept = keep(serve, stopping.clone(), Duration::from_millis(1));
        tokio::time::timeout(Duration::from_secs(20), kept).await.expect("it ends when told to");
        assert_eq!(count.load(Ordering::SeqCst), 4);
    }

    #[tokio::test]
    async fn the_end_does_not_wait_for_the_pause() {
        let (stop, stopping) = watch::channel(());
        let mut stop = Some(stop);
        let (failed, mut failures) = tokio::sync::mpsc::unbounded_channel();
        let serve = move || {
            let failed = failed.clone();
            async move { failed.send(()).map_err(|_| "nobody listens").and(Err::<(), _>("no")) }
        };
        let kept = tokio::spawn(keep(serve, stopping, Duration::from_secs(3600)));
        failures.recv().await.expect("it was started");
        drop(stop.take());
        tokio::time::timeout(Duration::from_secs(20), kept).await.expect("in time").expect("no panic");
    }
}
