//! Plans against a kernel of our own that can fail at any step.

use std::collections::BTreeSet;

use super::*;
use crate::error::{Code, Error};
use crate::hop::recalled;

/// A kernel that knows just enough: objects hang on the pair and vanish with it.
#[derive(Default)]
struct Model {
    links: BTreeSet<String>,
    objects: Vec<Step>,
    /// Number of steps that succeed before one fails.
    budget: usize,
    /// Whether the rest of a batch is still done after a failure, as the real kernel does.
    undo_fails: bool,
}

impl Kernel for Model {
    fn apply(&mut self, batch: &[Step]) -> Result<()> {
        let mut first = Ok(());
        for step in batch {
            if self.budget == 0 {
                first = first.and(Err(Error::new(Code::Io, format!("{step:?}"))));
                if step.undo() != Undo::WithPair {
                    continue;
                }
            } else {
                self.budget -= 1;
            }
            match step {
                Step::CreatePair(pair) => {
                    if !self.links.insert(pair.host.clone()) {
                        return Err(Error::new(Code::Exists, "exists"));
                    }
                }
                _ => {
                    assert!(!self.links.is_empty(), "{step:?} before its link");
                    self.objects.push(step.clone());
                }
            }
        }
        first
    }

    fn undo(&mut self, undo: &Undo) -> Result<()> {
        if self.undo_fails {
            return Err(Error::new(Code::Io, "undo"));
        }
        match undo {
            Undo::WithPair => {}
            Undo::DeleteLink(name) => {
                self.links.remove(name);
                // What a feature made does not hang on the link.
                self.objects.retain(|step| matches!(step, Step::Install(_)));
            }
            Undo::Remove(extra) => self.objects.retain(|step| *step != Step::Install(extra.clone())),
        }
        Ok(())
    }
}

fn plan(addresses: &[&str]) -> Plan {
    let attachment = Attachment::new("c0ffee", "eth0").unwrap();
    let addresses: Vec<IpAddr> = addresses.iter().map(|a| a.parse().unwrap()).collect();
    Plan::new(&Wanted {
        attachment: &attachment,
        network: "net",
        addresses: &addresses,
        hops: &recalled(None, &addresses),
        pod_mac: attachment.pod_mac(),
        mtu: 1450,
        anti_spoof: true,
        ipv6_disabled: &[Side::Pod],
        extras: &["ports", "shaper"].map(|feature| Extra { feature, record: feature.len().into() }),
    })
}

const FORMS: [&[&str]; 3] = [&["10.0.0.5"], &["fd00::5"], &["10.0.0.5", "fd00::5"]];

#[test]
fn a_failure_at_any_step_leaves_nothing() {
    for form in FORMS {
        let plan = plan(form);
        for budget in 0..plan.steps.len() {
            let mut kernel = Model { budget, ..Model::default() };
            let error = execute(&plan, &mut kernel).unwrap_err();
            assert_eq!(
                error.message,
                format!("{:?}", plan.steps[budget]),
                "the first failure is the one reported"
            );
            assert!(kernel.links.is_empty() && kernel.objects.is_empty(), "{form:?} failed at {budget}");
        }
        let mut kernel = Model { budget: usize::MAX, ..Model::default() };
        execute(&plan, &mut kernel).unwrap();
        assert_eq!(kernel.objects.len() + 1, plan.steps.len());
    }
}

#[test]
fn a_link_that_was_there_before_is_not_deleted() {
    let plan = plan(FORMS[2]);
    let mut kernel = Model { budget: usize::MAX, ..Model::default() };
    execute(&plan, &mut kernel).unwrap();
    let objects = kernel.objects.clone();
    assert_eq!(execute(&plan, &mut kernel).unwrap_err().code, Code::Exists);
    assert_eq!(kernel.objects, objects);
    assert_eq!(kernel.links.len(), 1);
}

#[test]
fn a_failed_undo_is_told() {
    let mut kernel = Model { budget: 3, undo_fails: true, ..Model::default() };
    let error = execute(&plan(FORMS[2]), &mut kernel).unwrap_err();
    assert!(error.details.contains("not undone: undo"), "{error}");
}

#[test]
fn steps_with_an_undo_of_their_own_stand_alone() {
    for form in FORMS {
        let plan = plan(form);
        for batch in plan.batches() {
            assert!(batch.len() == 1 || batch.iter().all(|step| step.undo() == Undo::WithPair), "{batch:?}");
        }
        assert_eq!(plan.batches().map(<[Step]>::len).sum::<usize>(), plan.steps.len());
    }
}

#[test]
fn an_address_and_a_route_need_the_other_familys_nothing() {
    let v4 = format!("{:?}", plan(FORMS[0]));
    assert!(!v4.contains("fe80") && !v4.contains("AcceptRa") && !v4.contains("DisableIpv6"), "{v4}");
    let v6 = format!("{:?}", plan(FORMS[1]));
    assert!(!v6.contains("169.254") && !v6.contains("RpFilter"), "{v6}");
    // The address stands before the link is up, so that no packet leaves with another source.
    let dual = plan(FORMS[2]);
    let position = |wanted: &Step| dual.steps.iter().position(|step| step == wanted).unwrap();
    assert!(
        position(&Step::AddAddress(Side::Pod, "fd00::5".parse().unwrap()))
            < position(&Step::Raise(Side::Pod))
    );
    assert!(position(&Step::Raise(Side::Host)) < position(&Step::AddHostRoute("10.0.0.5".parse().unwrap())));
}
