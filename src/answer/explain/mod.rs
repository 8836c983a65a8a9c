//! Why an answer is what it is, in words and as data.

pub(crate) mod records;
