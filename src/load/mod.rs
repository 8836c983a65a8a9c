//! Files: configuration, zones, state; and noticing that they changed.
