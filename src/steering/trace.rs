//! Telling what was looked at while a decision is made.

use crate::model::{PoolId, Use};

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    /// A pool is entered.
    Enter(PoolId),
    /// A pool is down for this client and family.
    PoolDown(PoolId),
    /// A member was chosen.
    Chosen {
        /// In this pool,
        pool: PoolId,
        /// this member.
        member: u16,
    },
    /// A member was passed over.
    Skipped {
        /// In this pool,
        pool: PoolId,
        /// this member,
        member: u16,
        /// because of this.
        reason: Skip,
    },
    /// Going on with what is used when a pool is down.
    Fallback {
        /// The pool that is down.
        pool: PoolId,
        /// What is used instead.
        to: Use,
    },
    /// Nothing was usable.
    LastResort(PoolId),
    /// A host name was chosen, but the other family has addresses, and a CNAME would speak for both:
    /// the decision on this pool is made again without host names.
    WithoutNames(PoolId),
}

/// Why a member was passed over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Skip {
    /// Its verdict is Down, or the pool it names is.
    Down,
    /// It has no address of this family.
    NoFamily,
    /// It recovered and waits for its failback.
    Held,
    /// The draw went to another.
    Draw,
    /// Its weight is 0 and a weighted one is up.
    Weightless,
    /// Trickle: this draw proves the standby.
    Trickle,
    /// A branch that turned out dead.
    Dead,
    /// It is a host name, which is answered alone, and there are addresses.
    HostName,
    /// The answer carries it already.
    Repeated,
}

/// Hears what was looked at.
pub trait Trace {
    /// Hears one step.
    fn step(&mut self, step: Step);

    /// Whether anybody listens: if not, what is only said to be complete is not worked out.
    fn hears(&self) -> bool {
        true
    }
}

/// Hears nothing, at no cost.
impl Trace for () {
    #[inline(always)]
    fn step(&mut self, _: Step) {}

    #[inline(always)]
    fn hears(&self) -> bool {
        false
    }
}

/// Writes everything down.
impl Trace for Vec<Step> {
    fn step(&mut self, step: Step) {
        self.push(step);
    }
}
