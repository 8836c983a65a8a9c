//! Questions to a server, and what must be true of every answer.
//!
//! | invariant | seen by |
//! |---|---|
//! | no answer is empty unless the pool says so | somebody has an address of the family |
//! | nobody gets out of a fence | the rule of the client's region |
//! | explain tells what is answered | both, from the same snapshot and draw |
//! | all clients of a scope get the same | another client of the scope, the same draw |

use std::net::IpAddr;

use domain::base::iana::Rtype;
use ipnet::IpNet;
use windrose::answer::explain::explain;
use windrose::answer::{Answer, Client, Data, Proof, Query, answer};
use windrose::model::{Family, Name};
use windrose::snapshot::Snapshot;

use crate::dice::Dice;
use crate::invariants::Violation;
use crate::server::Server;
use crate::world::{POOLS, Sketch, client_in, endpoint_at};

/// Asks a server once, anything.
pub fn ask(server: &Server, dice: &mut Dice) -> Result<(), Violation> {
    let snapshot = server.cell.load_full();
    let sketch = &server.version.sketch;
    let question = Question::any(sketch, dice);
    let given = question.of(question.client, &snapshot);
    let wrong = |invariant| {
        let detail = format!("{}: {question:?}: {given:?}", server.name);
        Err(Violation::new(invariant, detail))
    };
    if given.addresses.is_empty() && question.has_answer(sketch) {
        return wrong("no answer is empty");
    }
    let told = question.with(question.client, |query| explain(query, &snapshot));
    let mut explained: Vec<IpAddr> =
        told.answer.iter().filter_map(|record| record.data.parse().ok()).collect();
    explained.sort_unstable();
    if (&explained, told.scope) != (&given.addresses, given.scope) {
        return wrong("explain tells what is answered");
    }
    let inside =
        |address: &IpAddr| sketch.fenced_in(question.region).any(|number| number == endpoint_at(*address));
    if question.pool == "fenced" && !given.addresses.iter().all(inside) {
        return wrong("nobody gets out of a fence");
    }
    let other = question.neighbour(given.scope, dice.next());
    let others = question.of(other, &snapshot);
    if others != given {
        return wrong("all clients of a scope get the same");
    }
    Ok(())
}

#[derive(Debug)]
struct Question {
    pool: &'static str,
    family: Family,
    region: usize,
    client: IpAddr,
    draw: u64,
}

#[derive(Debug, PartialEq)]
struct Given {
    /// In order of their numbers.
    addresses: Vec<IpAddr>,
    scope: u8,
}

impl Question {
    fn any(sketch: &Sketch, dice: &mut Dice) -> Self {
        let region = dice.below(sketch.regions);
        Self {
            pool: dice.pick(&POOLS),
            family: dice.pick(&Family::BOTH),
            region,
            client: client_in(region, dice.next()),
            draw: dice.next(),
        }
    }

    /// Whether somebody who may be answered has an address of the family: with nobody up, all are answered.
    fn has_answer(&self, sketch: &Sketch) -> bool {
        let serves = |number: usize| self.family == Family::V4 || sketch.endpoints[number].v6;
        match self.pool {
            "fenced" => false,
            _ => sketch.present().any(|(number, _)| serves(number)),
        }
    }

    fn of(&self, client: IpAddr, snapshot: &Snapshot) -> Given {
        self.with(client, |query| {
            let Answer { answer, scope, .. } = answer(query, snapshot, &mut ());
            let mut addresses: Vec<IpAddr> = Vec::new();
            for set in &answer {
                match &set.data {
                    Data::A(some) => addresses.extend(some.iter().copied().map(IpAddr::V4)),
                    Data::Aaaa(some) => addresses.extend(some.iter().copied().map(IpAddr::V6)),
                    _ => {}
                }
            }
            addresses.sort_unstable();
            Given { addresses, scope }
        })
    }

    fn with<R>(&self, client: IpAddr, ask: impl FnOnce(&Query<'_>) -> R) -> R {
        let name: Name = format!("{}.example.org", self.pool).parse().expect("a name");
        let qtype = if self.family == Family::V4 { Rtype::A } else { Rtype::AAAA }.to_int();
        let client = Client { source: client, subnet: Some(IpNet::from(client)) };
        ask(&Query { name: name.as_slice(), qtype, client, draw: self.draw, proof: Proof::default() })
    }

    /// Another client of the same scope.
    fn neighbour(&self, scope: u8, luck: u64) -> IpAddr {
        match self.client {
            IpAddr::V4(client) => {
                let host = u32::MAX.checked_shr(scope.into()).unwrap_or(0);
                IpAddr::from((client.to_bits() & !host | luck as u32 & host).to_be_bytes())
            }
            IpAddr::V6(client) => {
                let host = u128::MAX.checked_shr(scope.into()).unwrap_or(0);
                let luck = u128::from(luck) << 64 | u128::from(luck.rotate_left(32));
                IpAddr::from((client.to_bits() & !host | luck & host).to_be_bytes())
            }
        }
    }
}
