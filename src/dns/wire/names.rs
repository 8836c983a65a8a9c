//! Name compression (RFC 1035 section 4.1.4): the names that a message holds so far, as a tree of labels.
//!
//! ```text
//!   (root) <-- org <-- example <-+- www        the question, at offset 12
//!                                `- ns1        literal "ns1", then a pointer to "example"
//! ```
//!
//! A name is matched from its right end down the tree; what is left is written out and added. The tree is
//! small and fixed: a message with more labels is compressed a little less. So the work for a name is
//! bounded by its labels times [`NODES_MAX`].

/// The labels of a message that later names can point to.
#[derive(Clone, Debug)]
pub(super) struct Names {
    nodes: [Node; NODES_MAX],
    used: usize,
}

/// A label that stands in the message.
#[derive(Clone, Copy, Debug, Default)]
struct Node {
    /// Offset of its length octet.
    at: u16,
    /// Index of the label to its right, plus one; 0: the root.
    parent: u8,
    /// Of the label ([`tag`]): most others need not be looked at.
    tag: u8,
}

/// How to write a name: its first octets as they are, then a pointer, or the root if there is none.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Plan {
    /// So many octets as they are.
    pub literal: usize,
    /// Then a pointer to here.
    pub pointer: Option<u16>,
    /// The node that the pointer stands for; 0: the root.
    parent: u8,
}

impl Names {
    /// No names yet.
    pub fn new() -> Self {
        Self { nodes: [Node::default(); NODES_MAX], used: 0 }
    }

    /// How many labels it holds: for [`Self::forget`].
    pub fn used(&self) -> usize {
        self.used
    }

    /// Forgets all labels but the first `used`, because they left the message.
    pub fn forget(&mut self, used: usize) {
        self.used = self.used.min(used);
    }

    /// How `name` is best written into `message`.
    pub fn plan(&self, message: &[u8], name: &[u8]) -> Plan {
        let labels = Labels::of(name);
        let (mut parent, mut unmatched) = (ROOT, labels.count);
        while unmatched > 0 {
            let Some(node) = self.child(message, parent, labels.label(name, unmatched - 1)) else { break };
            parent = node;
            unmatched -= 1;
        }
        let literal = if unmatched == labels.count { labels.end } else { labels.start(unmatched) };
        let pointer = (parent != ROOT).then(|| self.nodes[usize::from(parent) - 1].at);
        Plan { literal, pointer, parent }
    }

    /// Adds the literal labels of `name`, which was written at `at` as planned.
    pub fn add(&mut self, name: &[u8], plan: Plan, at: usize) {
        let labels = Labels::of(&name[..plan.literal]);
        let mut parent = plan.parent;
        for index in (0..labels.count).rev() {
            let offset = at + labels.start(index);
            if self.used == NODES_MAX || offset > POINTER_MAX {
                return;
            }
            let tag = tag(labels.label(name, index));
            self.nodes[self.used] = Node { at: offset as u16, parent, tag };
            self.used += 1;
            parent = self.used as u8;
        }
    }

    /// The node of `label` under `parent`, in any case.
    fn child(&self, message: &[u8], parent: u8, label: &[u8]) -> Option<u8> {
        let tag = tag(label);
        let found = self.nodes[..self.used].iter().position(|node| {
            let at = usize::from(node.at);
            (node.parent, node.tag) == (parent, tag)
                && message.get(at..at + label.len()).is_some_and(|held| held.eq_ignore_ascii_case(label))
        });
        found.map(|index| index as u8 + 1)
    }
}

/// Where the labels of a name start, without the root.
struct Labels {
    starts: [u8; LABELS_MAX],
    count: usize,
    end: usize,
}

impl Labels {
    /// The labels up to the root or the end.
    fn of(name: &[u8]) -> Self {
        let mut labels = Labels { starts: [0; LABELS_MAX], count: 0, end: 0 };
        while let Some(&length) = name.get(labels.end)
            && length != 0
            && labels.count < LABELS_MAX
        {
            labels.starts[labels.count] = labels.end as u8;
            labels.count += 1;
            labels.end += 1 + usize::from(length);
        }
        labels
    }

    fn start(&self, index: usize) -> usize {
        usize::from(self.starts[index])
    }

    /// A label with its length octet, which is no letter, so that both compare at once.
    fn label<'n>(&self, name: &'n [u8], index: usize) -> &'n [u8] {
        let end = if index + 1 == self.count { self.end } else { self.start(index + 1) };
        &name[self.start(index)..end.min(name.len())]
    }
}

/// The same for labels that differ in case alone: of the length octet, and the first and the last one.
#[inline]
fn tag(label: &[u8]) -> u8 {
    match *label {
        [length, first, .., last] => length ^ lower(first).rotate_left(3) ^ lower(last).rotate_left(5),
        [length, only] => length ^ lower(only).rotate_left(3) ^ lower(only).rotate_left(5),
        _ => 0,
    }
}

/// The same for both cases of a letter; of some other octets two.
fn lower(octet: u8) -> u8 {
    octet | 0x20
}

/// Labels that are remembered; later ones are written out in full.
const NODES_MAX: usize = 64;
/// Labels of the longest name: 127 of one octet.
const LABELS_MAX: usize = 127;
/// A pointer has 14 bits; labels beyond are not pointed to.
const POINTER_MAX: usize = 0x3FFF;
const ROOT: u8 = 0;

#[cfg(test)]
mod tests {
    use super::*;

    const QUESTION: &[u8] = b"\x03www\x07example\x03org\x00";

    fn names_of_the_question() -> Names {
        let mut names = Names::new();
        let plan = names.plan(QUESTION, QUESTION);
        assert_eq!((plan.literal, plan.pointer), (QUESTION.len() - 1, None));
        names.add(QUESTION, plan, 0);
        names
    }

    #[test]
    fn a_name_that_is_there_is_one_pointer_whatever_its_case() {
        let plan = names_of_the_question().plan(QUESTION, b"\x03WWW\x07Example\x03ORG\x00");
        assert_eq!((plan.literal, plan.pointer), (0, Some(0)));
    }

    #[test]
    fn a_name_that_shares_its_end_is_written_up_to_there() {
        let plan = names_of_the_question().plan(QUESTION, b"\x03ns1\x07example\x03org\x00");
        assert_eq!((plan.literal, plan.pointer), (4, Some(4)));
    }

    #[test]
    fn a_label_with_another_parent_is_not_shared() {
        let plan = names_of_the_question().plan(QUESTION, b"\x07example\x03net\x00");
        assert_eq!((plan.literal, plan.pointer), (12, None));
    }

    #[test]
    fn the_root_is_never_a_pointer() {
        let plan = names_of_the_question().plan(QUESTION, b"\x00");
        assert_eq!((plan.literal, plan.pointer), (0, None));
    }

    #[test]
    fn labels_that_are_forgotten_are_not_pointed_to() {
        let mut names = names_of_the_question();
        names.forget(1);
        assert_eq!(names.used(), 1);
        let plan = names.plan(QUESTION, QUESTION);
        assert_eq!((plan.literal, plan.pointer), (12, Some(12)));
    }

    #[test]
    fn labels_that_differ_in_case_alone_have_one_tag() {
        for (one, other) in
            [(&b"\x01a"[..], &b"\x01A"[..]), (b"\x03wWw", b"\x03WwW"), (b"\x02\xff[", b"\x02\xff[")]
        {
            assert_eq!(tag(one), tag(other), "{one:?}");
        }
        let tags: std::collections::BTreeSet<u8> = (0..250)
            .map(|n| format!("m{n}"))
            .map(|l| tag(&[&[l.len() as u8], l.as_bytes()].concat()))
            .collect();
        assert!(tags.len() >= 20, "{}", tags.len());
    }

    #[test]
    fn a_full_table_compresses_less_and_holds_nothing_wrong() {
        let mut names = Names::new();
        let mut name: Vec<u8> = (0..100u8).flat_map(|n| [1, b'!' + n]).collect();
        name.push(0);
        let plan = names.plan(&name, &name);
        names.add(&name, plan, 0);
        let plan = names.plan(&name, &name);
        assert_eq!((plan.literal, plan.pointer), (2 * (100 - NODES_MAX), Some(2 * (100 - NODES_MAX) as u16)));
    }
}
