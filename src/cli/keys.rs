//! `windrose keys`: the keys of signed zones.

use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum};

use super::{ConfigOption, Format, seconds};

/// What to do about keys.
#[derive(Debug, Subcommand)]
pub enum Keys {
    /// Make a key for a zone
    ///
    /// The first key of a zone signs at once. One that joins others is shown first, and signs when every resolver can
    /// know it. A running server takes it as soon as its files are there.
    Generate {
        /// The zone
        zone: String,
        /// What it signs
        #[arg(long, value_enum, default_value_t)]
        role: KeyRole,
        /// How it signs
        #[arg(long, value_enum, default_value_t)]
        algorithm: KeyAlgorithm,
        /// Which machine.
        #[command(flatten)]
        config: ConfigOption,
    },
    /// Show the keys of signed zones: what each does now, and what comes next
    List {
        /// Only of this zone, signed or not
        zone: Option<String>,
        /// Which machine.
        #[command(flatten)]
        config: ConfigOption,
        /// How to print.
        #[command(flatten)]
        format: Format,
    },
    /// Show the DS records that the parent zone is to have
    Ds {
        /// The zone
        zone: String,
        /// Which machine.
        #[command(flatten)]
        config: ConfigOption,
    },
    /// Let a new key follow one: begin a rollover
    ///
    /// A ZSK is rolled by this alone. For a KSK or CSK the parent must change its DS (`windrose keys ds`, or by itself
    /// from CDS); then `windrose keys ds-seen` ends the rollover.
    Roll {
        /// Which.
        #[command(flatten)]
        key: KeyOfZone,
        /// How the new one signs [default: as the old one]
        #[arg(long, value_enum)]
        algorithm: Option<KeyAlgorithm>,
    },
    /// Say that all servers of the parent show the DS of the new key, and no longer that of an old one
    ///
    /// The old key goes when no resolver can hold its DS any more.
    DsSeen {
        /// The old key.
        #[command(flatten)]
        key: KeyOfZone,
        /// The TTL of the DS records at the parent
        #[arg(long, value_name = "DURATION", value_parser = seconds, default_value = "86400s")]
        ds_ttl: Duration,
    },
}

/// A key of a zone.
#[derive(Debug, Args)]
pub struct KeyOfZone {
    /// The zone
    pub zone: String,
    /// The tag of the key, as `windrose keys list` shows it
    pub tag: u16,
    /// Which machine.
    #[command(flatten)]
    pub config: ConfigOption,
}

/// What a key signs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum KeyRole {
    /// Everything; the parent's DS is of it
    #[default]
    Csk,
    /// The keys; the parent's DS is of it
    Ksk,
    /// All but the keys
    Zsk,
}

/// How a key signs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum KeyAlgorithm {
    /// ECDSA on P-256, which every validator knows
    #[default]
    EcdsaP256,
    /// Ed25519
    Ed25519,
}
