//! What is asked of the API server: each list is of one moment that is not before the question.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::time::Duration;

use api::crd::FabricPool;
use futures::stream::{Stream, StreamExt, TryStreamExt, select_all};
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{Namespace, Service};
use kube::api::{ListParams, Patch, PatchParams, PostParams, WatchEvent, WatchParams};
use kube::{Api, Client, Resource, ResourceExt};
use serde::de::DeserializeOwned;
use serde_json::json;
use tokio::time::timeout;

use super::plan::Write;
use super::record;
use crate::cluster::kubernetes::connection::Linked;
use crate::cluster::kubernetes::trouble::Trouble;

/// How long an answer may take: a list of ten thousand Services comes in a second or two.
const ANSWER: Duration = Duration::from_secs(10);

/// The most objects of an answer.
const PAGE: u32 = 1000;

/// Everything that a plan goes by.
#[derive(Debug)]
pub(super) struct Picture {
    pub(super) pools: Vec<FabricPool>,
    pub(super) services: Vec<Service>,
    pub(super) namespaces: BTreeMap<String, BTreeMap<String, String>>,
    pub(super) versions: Versions,
}

/// Of which versions a picture's lists are.
#[derive(Clone, Debug, Default)]
pub(super) struct Versions {
    pools: String,
    services: String,
    namespaces: String,
}

pub(super) struct Access {
    pub(super) client: Client,
    pub(super) namespace: String,
    server: String,
}

impl Access {
    pub(super) fn new(linked: Linked) -> Self {
        let Linked { client, namespace, server } = linked;
        Self { client, namespace: namespace.to_string(), server: server.to_string() }
    }

    /// An answer within its time.
    pub(super) async fn ask<T>(&self, answer: impl Future<Output = kube::Result<T>>) -> Result<T, Trouble> {
        let answer = timeout(ANSWER, answer).await.map_err(|_| Trouble::silent(&self.server))?;
        answer.map_err(|error| Trouble::of(&self.server, &error))
    }

    fn leases(&self) -> Api<Lease> {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    /// The Lease; one that nobody has held is made where there is none.
    pub(super) async fn lease(&self) -> Result<Lease, Trouble> {
        let leases = self.leases();
        if let Some(lease) = self.ask(leases.get_opt(record::NAME)).await? {
            return Ok(lease);
        }
        let mut lease = Lease::default();
        lease.metadata.name = Some(record::NAME.to_owned());
        self.ask(leases.create(&PostParams::default(), &lease)).await
    }

    /// Replaces the Lease, where it has the version of this one.
    pub(super) async fn replace(&self, lease: &Lease) -> Result<Lease, Trouble> {
        self.ask(self.leases().replace(record::NAME, &PostParams::default(), lease)).await
    }

    /// All that there is now. A list without a resourceVersion is of the newest state (a quorum read), and its pages are
    /// of one.
    pub(super) async fn picture(&self) -> Result<Picture, Trouble> {
        let pools: Api<FabricPool> = Api::all(self.client.clone());
        let pools = self.ask(pools.list(&ListParams::default())).await?;
        let namespaces: Api<Namespace> = Api::all(self.client.clone());
        let namespaces = self.ask(namespaces.list(&ListParams::default())).await?;
        let version = |of: Option<String>| of.unwrap_or_default();
        let mut versions = Versions {
            pools: version(pools.metadata.resource_version),
            namespaces: version(namespaces.metadata.resource_version.clone()),
            services: String::new(),
        };
        let pools = pools.items;
        let namespaces =
            namespaces.into_iter().map(|one| (one.name_any(), one.metadata.labels.unwrap_or_default()));
        let namespaces = namespaces.collect();
        let all: Api<Service> = Api::all(self.client.clone());
        let mut services = Vec::new();
        let mut params = ListParams::default().limit(PAGE);
        loop {
            let page = self.ask(all.list(&params)).await?;
            services.extend(page.items);
            versions.services = version(page.metadata.resource_version);
            match page.metadata.continue_.filter(|next| !next.is_empty()) {
                Some(next) => params = params.continue_token(&next),
                None => return Ok(Picture { pools, services, namespaces, versions }),
            }
        }
    }

    /// Returns when something is not as it was in a picture any more, or may not be. What it is now says the next one:
    /// nothing is decided by a watch.
    pub(super) async fn change(&self, since: &Versions) -> Result<(), Trouble> {
        let watches = [
            self.changes::<FabricPool>(&since.pools).await?.boxed(),
            self.changes::<Service>(&since.services).await?.boxed(),
            self.changes::<Namespace>(&since.namespaces).await?.boxed(),
        ];
        select_all(watches).next().await.unwrap_or(Ok(()))
    }

    /// What happens to the objects of a kind, without the objects.
    async fn changes<K>(&self, since: &str) -> Result<impl Stream<Item = Result<(), Trouble>> + Send, Trouble>
    where
        K: Resource<DynamicType = ()> + Clone + DeserializeOwned + Debug + Send + Sync + 'static,
    {
        let objects: Api<K> = Api::all(self.client.clone());
        let params = WatchParams { bookmarks: false, ..WatchParams::default() };
        let events = self.ask(objects.watch_metadata(&params, since)).await?;
        let server = self.server.clone();
        Ok(events
            .map_err(move |error| Trouble::of(&server, &error))
            .try_filter_map(async |event| Ok((!matches!(event, WatchEvent::Bookmark(_))).then_some(()))))
    }

    /// Writes a status in place of one version of the Service. Whether it was written; where not, the Service has
    /// another version by now, or is gone.
    pub(super) async fn write(&self, write: &Write) -> Result<bool, Trouble> {
        let Some((namespace, name)) = write.service.split_once('/') else { return Ok(false) };
        let services: Api<Service> = Api::namespaced(self.client.clone(), namespace);
        let ingress: Vec<_> =
            write.addresses.iter().map(|address| json!({"ip": address.to_string()})).collect();
        let patch = json!({
            "metadata": {"resourceVersion": write.version, "uid": write.uid},
            "status": {"loadBalancer": {"ingress": ingress}},
        });
        let answer =
            timeout(ANSWER, services.patch_status(name, &PatchParams::default(), &Patch::Merge(patch))).await;
        match answer.map_err(|_| Trouble::silent(&self.server))? {
            Ok(_) => Ok(true),
            Err(kube::Error::Api(status)) if status.is_conflict() || status.is_not_found() => Ok(false),
            Err(error) => Err(Trouble::of(&self.server, &error)),
        }
    }
}
