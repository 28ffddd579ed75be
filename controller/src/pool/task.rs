//! The loop of a controller: it waits to lead, and while it leads it plans and writes.
//!
//! It ends by a signal, and lets go of the Lease then, with the intents that it leaves.

use std::collections::BTreeMap;
use std::time::Duration;

use futures::StreamExt;
use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::Lease;
use kube::ResourceExt;
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::{Instant, sleep, timeout};

use super::access::{Access, Picture, Versions};
use super::claim::Claim;
use super::plan::{Plan, Pool, Write, plan};
use super::record::{self, Patience};
use super::report::{self, Report};
use crate::cluster::kubernetes::backoff::{Backoff, spread};
use crate::cluster::kubernetes::connection::Linked;
use crate::cluster::kubernetes::trouble::Trouble;
use crate::cluster::kubernetes::{Access as Way, Connection};

/// How often a controller that does not lead looks whether it may.
const LOOK: Duration = Duration::from_secs(2);

/// How long one that leads lets changes gather before it looks at all Services.
const GATHER: Duration = Duration::from_millis(200);

/// Writes at a time.
const AT_A_TIME: usize = 8;

/// What a controller is started with.
#[derive(Clone, Debug)]
pub struct Settings {
    /// How the API server is reached.
    pub access: Way,
    /// Who it is among the controllers.
    pub identity: String,
    /// The loadBalancerClass of the Services that it serves.
    pub class: String,
    /// Whether it serves those without a class, too.
    pub default: bool,
    /// How long a leader may be silent before somebody else tries.
    pub patience: Duration,
}

/// Runs until a signal ends it.
///
/// # Errors
/// Signals that cannot be taken.
pub async fn run(settings: Settings) -> anyhow::Result<()> {
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let mut controller = Controller {
        connection: Connection::new(settings.access.clone()),
        settings,
        leads: None,
        patience: Patience::default(),
        report: Report::default(),
        told: None,
    };
    tracing::info!(event = "waits-to-lead", identity = controller.settings.identity);
    tokio::select! {
        () = controller.live() => {}
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    controller.leave().await;
    Ok(())
}

struct Controller {
    settings: Settings,
    connection: Connection,
    /// The Lease as this controller last wrote it, and when.
    leads: Option<(Lease, Instant)>,
    patience: Patience,
    report: Report,
    /// What was last said of what fails.
    told: Option<String>,
}

impl Controller {
    async fn live(&mut self) {
        let mut backoff = Backoff::default();
        loop {
            let pause = match self.turn().await {
                Ok(pause) => {
                    self.tell(None);
                    backoff.reset();
                    pause
                }
                Err(trouble) => {
                    if trouble.refused {
                        self.connection.refused();
                    }
                    if trouble.conflict && self.leads.take().is_some() {
                        tracing::warn!(event = "lead-lost", identity = self.settings.identity);
                    }
                    let pause = backoff.pause(trouble.wait);
                    self.tell(Some(trouble.text));
                    pause
                }
            };
            sleep(pause).await;
        }
    }

    /// One look: of somebody who leads at all Services, of somebody else at the Lease. How long to wait after it.
    async fn turn(&mut self) -> Result<Duration, Trouble> {
        let linked: Linked = self.connection.linked().await?;
        let access = Access::new(linked);
        if self.leads.is_none() {
            let lease = access.lease().await?;
            if !self.patience.is_over(&lease, self.settings.patience, Instant::now()) {
                return Ok(LOOK.min(self.settings.patience / 4) + spread(LOOK / 4));
            }
            // What the one before was about to write stays in it.
            let intents = record::intents(&lease).map_err(Trouble::local)?;
            let mine = self.held(&lease, &intents);
            let mine = access.replace(&mine).await?;
            tracing::info!(event = "leads", identity = self.settings.identity);
            self.leads = Some((mine, Instant::now()));
        }
        self.round(&access).await
    }

    /// Looks at everything, and writes what is missing.
    async fn round(&mut self, access: &Access) -> Result<Duration, Trouble> {
        let Some((lease, since)) = self.leads.clone() else { return Ok(LOOK) };
        let picture = access.picture().await?;
        let intents = record::intents(&lease).map_err(Trouble::local)?;
        let (pools, claims) = self.read(&picture);
        let plan = plan(&pools, &claims, &intents);
        if plan.intents != intents || !plan.writes.is_empty() || since.elapsed() >= self.settings.patience / 3
        {
            // From here on nobody else writes who has not read these intents.
            let next = self.held(&lease, &plan.intents);
            self.leads = Some((access.replace(&next).await?, Instant::now()));
        }
        let written = self.write(access, &plan).await;
        // What is said comes after what is done, and holds nothing up.
        self.report.pools(access, &picture.pools, &claims, &plan).await?;
        self.report.refusals(access, &claims, &plan).await?;
        written?;
        if !plan.writes.is_empty() {
            return Ok(Duration::ZERO);
        }
        self.rest(access, &picture.versions, &plan.intents).await?;
        Ok(GATHER)
    }

    /// Leads on until something has changed.
    async fn rest(&mut self, access: &Access, since: &Versions, intents: &[Write]) -> Result<(), Trouble> {
        loop {
            if let Ok(changed) = timeout(self.settings.patience / 3, access.change(since)).await {
                return changed;
            }
            let Some((lease, _)) = &self.leads else { return Ok(()) };
            let next = self.held(lease, intents);
            self.leads = Some((access.replace(&next).await?, Instant::now()));
        }
    }

    /// The Lease as this one holds it.
    fn held(&self, lease: &Lease, intents: &[Write]) -> Lease {
        let Settings { identity, patience, .. } = &self.settings;
        record::held(lease, identity, *patience, intents, Timestamp::now())
    }

    fn read(&self, picture: &Picture) -> (Vec<Pool>, Vec<Claim>) {
        let pools = picture.pools.iter().filter(|pool| pool.spec.violations().is_empty());
        let pools = pools.map(|pool| Pool { name: pool.name_any(), spec: pool.spec.clone() });
        let Settings { class, default, .. } = &self.settings;
        let namespaces: &BTreeMap<_, _> = &picture.namespaces;
        let claims = picture.services.iter().map(|service| Claim::of(service, namespaces, class, *default));
        (pools.collect(), claims.collect())
    }

    /// Carries a plan out. A Service that is another by now is looked at in the next round.
    async fn write(&self, access: &Access, plan: &Plan) -> Result<(), Trouble> {
        let writes = plan.writes.iter().map(async |write| {
            if access.write(write).await? {
                report::written(access, write).await?;
            }
            Ok::<(), Trouble>(())
        });
        let done: Vec<Result<(), Trouble>> =
            futures::stream::iter(writes).buffer_unordered(AT_A_TIME).collect().await;
        done.into_iter().collect()
    }

    /// Lets go of the Lease, so that somebody else need not wait.
    async fn leave(&mut self) {
        let Some((lease, _)) = self.leads.take() else { return };
        let Ok(linked) = self.connection.linked().await else { return };
        let access = Access::new(linked);
        // Where that fails, somebody else waits.
        if let Ok(intents) = record::intents(&lease) {
            drop(
                access
                    .replace(&record::held(&lease, "", self.settings.patience, &intents, Timestamp::now()))
                    .await,
            );
        }
    }

    /// Says once what fails, and once that it does not any more.
    fn tell(&mut self, trouble: Option<String>) {
        if self.told == trouble {
            return;
        }
        match &trouble {
            Some(reason) => tracing::warn!(event = "pools-unserved", reason),
            None => tracing::info!(event = "pools-served"),
        }
        self.told = trouble;
    }
}
