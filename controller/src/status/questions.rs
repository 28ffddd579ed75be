//! The way from a call to the agent loop and back: few questions at a time, a
//! deadline on each. Cancel-safe: a call that is given up leaves a question
//! whose reply nobody takes.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Semaphore, mpsc, oneshot};
use tonic::Status;

use super::error::Fault;
use super::query::Query;

/// How long the agent may take for one answer: it answers between two turns of
/// some milliseconds, so that seconds mean that something is badly wrong.
pub(super) const DEADLINE: Duration = Duration::from_secs(5);
/// Questions under way over all connections; more wait, and their deadline runs.
const AT_A_TIME: usize = 16;

/// The callers' end of the agent loop's queue of questions.
#[derive(Clone, Debug)]
pub(super) struct Questions {
    queries: mpsc::Sender<Query>,
    places: Arc<Semaphore>,
    deadline: Duration,
}

impl Questions {
    pub(super) fn new(queries: mpsc::Sender<Query>, deadline: Duration) -> Self {
        Self { queries, places: Arc::new(Semaphore::new(AT_A_TIME)), deadline }
    }

    /// Puts a question to the agent loop.
    pub(super) async fn ask<T>(
        &self,
        question: impl FnOnce(oneshot::Sender<T>) -> Query,
    ) -> Result<T, Status> {
        let (reply, answer) = oneshot::channel();
        let stopping = || Fault::AgentStopping.status("the agent is stopping");
        let asked = async {
            let _place = self.places.acquire().await.map_err(|_| stopping())?;
            self.queries.send(question(reply)).await.map_err(|_| stopping())?;
            answer.await.map_err(|_| stopping())
        };
        let late =
            |_| Fault::AgentBusy.status(format!("no answer from the agent within {:?}", self.deadline));
        tokio::time::timeout(self.deadline, asked).await.map_err(late)?
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tonic::Code;
    use tonic_types::StatusExt;

    fn explain(reply: oneshot::Sender<bgp::view::Explanation>) -> Query {
        Query::Explain { prefix: "10.0.0.0/8".parse().expect("a prefix"), reply }
    }

    fn reason(status: &Status) -> String {
        status.get_details_error_info().expect("an ErrorInfo").reason
    }

    #[tokio::test]
    async fn agent_that_does_not_answer_is_busy() {
        let (queries, mut inbox) = mpsc::channel(1);
        let questions = Questions::new(queries, Duration::from_millis(1));
        let status = questions.ask(explain).await.expect_err("nobody answers");
        assert_eq!((status.code(), reason(&status).as_str()), (Code::DeadlineExceeded, "AGENT_BUSY"));
        // The question was put, and its asker is gone.
        assert!(matches!(inbox.recv().await, Some(Query::Explain { reply, .. }) if reply.is_closed()));
        // A place was given back, and the queue is the limit again.
        assert_eq!(questions.places.available_permits(), AT_A_TIME);
    }

    #[tokio::test]
    async fn agent_that_went_away_is_stopping() {
        let (queries, mut inbox) = mpsc::channel(1);
        let questions = Questions::new(queries, DEADLINE);
        let (status, _) = tokio::join!(questions.ask(explain), async { drop(inbox.recv().await) });
        assert_eq!(reason(&status.expect_err("the reply was dropped")), "AGENT_STOPPING");
        drop(inbox);
        let status = questions.ask(explain).await.expect_err("the loop is gone");
        assert_eq!((status.code(), reason(&status).as_str()), (Code::Unavailable, "AGENT_STOPPING"));
    }
}
