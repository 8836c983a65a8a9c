//! The line to the fleet: whether silence says anything.
//!
//! ```text
//!   line      ========== cut ............................ carries again ============
//!   us/nyc    o   o   o                                          o   o   o   o
//!   eu/ams    o   o   o   o   o   o   o   o   o   o   o   o   o   o   o   o   o      (this machine's own)
//!   us is     judged      |------- stays as it was ------------| judged by its own
//! ```
//!
//! A region without votes is judged by the others. But while this server hears nobody, and just after, when it
//! has heard some and not yet all, those who are silent may well be talking: then what was stands, and no answer
//! changes because a line was cut.

use std::time::Duration;

use crate::model::Moment;

/// How it is with the line to the fleet. One machine alone has one that carries.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Line {
    /// Who is silent does not talk.
    #[default]
    Carries,
    /// Nothing came over it.
    Cut {
        /// Since when.
        since: Moment,
    },
    /// It carries again, but not everybody had the time to be heard.
    Mending {
        /// Since when nothing had come.
        since: Moment,
        /// Until when that is so.
        until: Moment,
    },
}

impl Line {
    /// Notes how it is now: since when nothing came over it, if that is too long.
    pub fn note(&mut self, silent_since: Option<Moment>, now: Moment) {
        *self = match (silent_since, self.cut(now)) {
            (None, None) => Line::Carries,
            (Some(since), None) => Line::Cut { since },
            (Some(_), Some(since)) => Line::Cut { since },
            (None, Some(since)) => match *self {
                Line::Mending { .. } => *self,
                Line::Cut { .. } | Line::Carries => Line::Mending { since, until: now.plus(HEARD_WITHIN) },
            },
        };
    }

    /// Since when silence says nothing; `None`: it does.
    pub fn cut(self, now: Moment) -> Option<Moment> {
        match self {
            Line::Cut { since } => Some(since),
            Line::Mending { since, until } if now < until => Some(since),
            Line::Carries | Line::Mending { .. } => None,
        }
    }
}

/// Whoever talks is heard within this time: three times what is usual between two reports.
const HEARD_WITHIN: Duration = Duration::from_secs(6);

#[cfg(test)]
mod tests {
    use super::*;

    fn second(n: u64) -> Moment {
        Moment(n * 1000)
    }

    /// A line that carries at some seconds, and at others has not since the one beside it.
    fn line(notes: &[(u64, Option<u64>)]) -> Line {
        let mut line = Line::default();
        notes.iter().for_each(|(at, silent_since)| line.note(silent_since.map(second), second(*at)));
        line
    }

    #[test]
    fn silence_says_nothing_from_the_cut_until_all_had_the_time_to_be_heard() {
        assert_eq!(line(&[(1, None)]).cut(second(1)), None);
        let cut = line(&[(1, None), (4, Some(2)), (9, Some(2))]);
        assert_eq!(cut.cut(second(100)), Some(second(2)));
        let mending = line(&[(4, Some(2)), (20, None), (21, None)]);
        assert_eq!([25, 26].map(|at| mending.cut(second(at))), [Some(second(2)), None]);
    }

    #[test]
    fn a_line_that_is_cut_again_before_all_were_heard_was_never_whole() {
        let again = [(4, Some(2)), (20, None), (24, Some(22)), (30, None)];
        assert_eq!([35, 36].map(|at| line(&again).cut(second(at))), [Some(second(2)), None]);
        let later = [&again[..], &[(40, Some(38))]].concat();
        assert_eq!(line(&later).cut(second(41)), Some(second(38)), "it was whole in between");
    }
}
