//! Telling how an answer came about.

use crate::plan::SteeredId;
use crate::plan::zone::Node;
use crate::steering::{self, Decision, Request};

/// Hears how an answer came about: what lookup found, and what steering looked at. `()` hears nothing, at
/// no cost.
pub trait Trace: steering::Trace {
    /// A name was looked up: the question's, and then each that an alias leads to.
    fn found(&mut self, _name: &[u8], _how: How<'_>) {}

    /// A steered name was met.
    fn steering(&mut self, _steered: SteeredId, _request: &Request<'_>) {}

    /// What steering decided there; its steps came in between.
    fn decided(&mut self, _decision: &Decision) {}
}

impl Trace for () {}

/// How lookup found a name.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum How<'s> {
    /// It exists.
    Exact(Node<'s>),
    /// It does not exist, and this wildcard speaks for it.
    Wildcard(Node<'s>),
    /// It is delegated here.
    Delegated(Node<'s>),
    /// It is below the DNAME that is here.
    Redirected(Node<'s>),
    /// It does not exist; its closest encloser.
    Missing(Node<'s>),
    /// It is in no zone of ours.
    Outside,
}
