//! The failover time that a name can promise: detection + publication + cached answers.
