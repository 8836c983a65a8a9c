//! What a pool chooses for a client, in words: what a debug name tells.

use crate::answer::Client;
use crate::answer::explain::recorder::Recorder;
use crate::answer::explain::{show, words};
use crate::model::{MapId, PoolId};
use crate::snapshot::Snapshot;
use crate::steering::{self, Decision, Outcome, Request, Step, decide};

/// A choice.
pub(in crate::answer) struct Choice {
    /// As steering has it.
    pub(in crate::answer) decision: Decision,
    /// The endpoints, or what is answered instead.
    pub(in crate::answer) picked: String,
    /// The reasons, pool by pool.
    pub(in crate::answer) because: Vec<String>,
}

/// Chooses for a client, and writes down why.
pub(in crate::answer) fn choose(
    pool: PoolId,
    request: &Request<'_>,
    client: Client,
    snapshot: &Snapshot,
) -> Choice {
    let Snapshot { plan, health, .. } = snapshot;
    let recorder = Recorder::of_decision(client, request.family, snapshot);
    let mut first = FirstSteps { recorder, left: STEPS_MAX };
    let decision = decide(pool, request, &plan.inventory, health, &mut first);
    let outcome = words::outcome(&decision.outcome);
    let picked = match &decision.outcome {
        Outcome::Endpoints { chosen, .. } => {
            let names = chosen.iter().map(|id| &*plan.inventory.endpoints[id.index()].name);
            names.collect::<Vec<_>>().join(", ")
        }
        Outcome::Static | Outcome::NoData | Outcome::ServFail => outcome.into(),
    };
    let region = plan.geo.locate(MapId::WORLD, client.address()).region;
    let region = &plan.inventory.regions[region.index()].name;
    let because = show::reasons(&first.recorder.into_entered(), outcome, region);
    Choice { decision, picked, because }
}

/// Hears the first steps of a walk: of a pool with thousands of members nobody reads more, and anybody who can
/// forge the address of one who is told can ask again and again.
struct FirstSteps<'s> {
    recorder: Recorder<'s>,
    left: usize,
}

impl steering::Trace for FirstSteps<'_> {
    fn step(&mut self, step: Step) {
        if let Some(left) = self.left.checked_sub(1) {
            self.left = left;
            self.recorder.step(step);
        }
    }
}

/// Steps of steering that are told; those after them are taken, but left out of the reasons.
const STEPS_MAX: usize = 32;
