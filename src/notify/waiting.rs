//! What waits to be told: as much as one request carries. Alarms wait apart, so that a thousand verdicts that turn at once
//! push out none.

use std::collections::VecDeque;

use super::Notice;

/// What waits.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    alarms: VecDeque<Notice>,
    others: VecDeque<Notice>,
    /// Lost since the last [`Waiting::take`].
    missed: u64,
    /// Pushed out since the start.
    overflowed: u64,
}

/// What goes into one request.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Batch {
    /// Alarms first, each kind in the order in which it happened.
    pub notices: Vec<Notice>,
    /// So many more happened and are not here.
    pub missed: u64,
}

impl Waiting {
    /// Adds one; the oldest goes if there is no room.
    pub fn push(&mut self, notice: Notice) {
        let (line, most) = match notice.alarm {
            true => (&mut self.alarms, ALARMS_MAX),
            false => (&mut self.others, OTHERS_MAX),
        };
        if line.len() == most {
            line.pop_front();
            self.missed += 1;
            self.overflowed += 1;
        }
        line.push_back(notice);
    }

    /// Takes all of it; `None`: there is nothing to tell.
    pub fn take(&mut self) -> Option<Batch> {
        if self.len() == 0 {
            return None;
        }
        let notices = self.alarms.drain(..).chain(self.others.drain(..)).collect();
        Some(Batch { notices, missed: std::mem::take(&mut self.missed) })
    }

    /// Notes that what was taken is lost: the next request says so.
    pub fn lose(&mut self, batch: &Batch) {
        self.missed += batch.missed + batch.notices.len() as u64;
    }

    pub fn len(&self) -> usize {
        self.alarms.len() + self.others.len()
    }

    /// Pushed out since the start.
    pub fn overflowed(&self) -> u64 {
        self.overflowed
    }
}

/// Of more alarms the oldest go.
const ALARMS_MAX: usize = 100;

/// Of more events besides alarms the oldest go.
const OTHERS_MAX: usize = 400;

#[cfg(test)]
mod tests {
    use super::super::tests::notice;
    use super::*;

    fn texts(batch: &Batch) -> Vec<&str> {
        batch.notices.iter().map(|notice| &*notice.text).collect()
    }

    #[test]
    fn what_is_too_much_pushes_out_the_oldest_and_is_counted() {
        let mut waiting = Waiting::default();
        (0..OTHERS_MAX + 3).for_each(|number| waiting.push(notice(&number.to_string())));
        assert_eq!((waiting.len(), waiting.overflowed()), (OTHERS_MAX, 3));
        let batch = waiting.take().expect("something waits");
        assert_eq!((texts(&batch)[0], batch.missed), ("3", 3));
        assert_eq!(waiting.take(), None);
        waiting.push(notice("later"));
        assert_eq!(waiting.take().expect("it waits").missed, 0, "it was said already");
    }

    #[test]
    fn alarms_stay_and_come_first() {
        let mut waiting = Waiting::default();
        waiting.push(Notice { alarm: true, ..notice("alarm") });
        (0..10 * OTHERS_MAX).for_each(|number| waiting.push(notice(&number.to_string())));
        assert_eq!(texts(&waiting.take().expect("much waits"))[0], "alarm");
    }

    #[test]
    fn what_is_lost_is_said_with_what_comes_next() {
        let mut waiting = Waiting::default();
        waiting.push(notice("one"));
        let batch = Batch { missed: 5, ..waiting.take().expect("one waits") };
        waiting.lose(&batch);
        assert_eq!(waiting.take(), None, "a loss alone is no reason to tell");
        waiting.push(notice("two"));
        assert_eq!(waiting.take().expect("two waits").missed, 6);
    }
}
