//! Behaviour every implementation of a port must show, vendor or local, as functions that panic with what was expected.
//! A suite knows a port and a small fixture for what the port cannot do (push a commit, edit a ticket as a person
//! would); it must be satisfiable by a service that keeps state of its own between runs, so it compares only with what
//! it made itself and never counts on being alone.

pub mod forge;
pub mod tracker;

use crate::fault::Fault;
use orch_core::verdict::FaultKind;

/// The value, or a panic that says what the suite was doing.
fn must<T>(what: &str, answer: Result<T, Fault>) -> T {
    match answer {
        Ok(value) => value,
        Err(fault) => panic!("{what}: {:?} fault: {fault}", fault.kind),
    }
}

/// The fault, which must be of this kind.
fn must_fail<T>(what: &str, kind: FaultKind, answer: Result<T, Fault>) -> Fault {
    match answer {
        Ok(_) => panic!("{what}: succeeded where a fault of kind {kind:?} is due"),
        Err(fault) => {
            assert_eq!(fault.kind, kind, "{what}: wrong kind of fault: {fault}");
            fault
        }
    }
}
