//! "Did you mean": the closest known word to one that is not known.

/// The closest of `known` to `word`, if it is close enough to be a slip of the fingers: at most one slip
/// (a letter too many, too few, wrong, or two of them swapped) for every three letters. Case does not count.
pub fn did_you_mean<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let letters = word.chars().count();
    if letters > WORD_MAX {
        return None;
    }
    let slips_max = (letters / 3).max(1);
    let word = word.to_lowercase();
    known
        .into_iter()
        .filter(|other| other.len() <= WORD_MAX * 4 && other.chars().count().abs_diff(letters) <= slips_max)
        .map(|other| (strsim::osa_distance(&word, &other.to_lowercase()), other))
        .filter(|(slips, _)| *slips <= slips_max && *slips < letters)
        .min_by_key(|(slips, _)| *slips)
        .map(|(_, other)| other)
}

/// Longer words are not compared: the work grows with the product of the lengths.
const WORD_MAX: usize = 100;

#[cfg(test)]
mod tests {
    use super::*;

    const KEYS: [&str; 5] = ["port", "path", "interval", "timeout", "type"];

    #[test]
    fn a_slip_of_the_fingers_finds_the_word() {
        assert_eq!(did_you_mean("prot", KEYS), Some("port"));
        assert_eq!(did_you_mean("intervall", KEYS), Some("interval"));
        assert_eq!(did_you_mean("tiemuot", KEYS), Some("timeout"));
        assert_eq!(did_you_mean("Port", KEYS), Some("port"));
    }

    #[test]
    fn another_word_finds_nothing() {
        assert_eq!(did_you_mean("weight", KEYS), None);
        assert_eq!(did_you_mean("x", KEYS), None);
        assert_eq!(did_you_mean("", KEYS), None);
    }

    #[test]
    fn of_two_the_closer_one_is_meant() {
        assert_eq!(did_you_mean("fra1", ["fra12", "fra1x", "fra"]), Some("fra12"));
        assert_eq!(did_you_mean("iad2", ["fra2", "iad"]), Some("iad"));
    }

    #[test]
    fn a_very_long_word_is_not_compared() {
        let long = "x".repeat(1_000_000);
        assert_eq!(did_you_mean(&long, [long.as_str()]), None);
    }
}
