//! Records of the Open Source Vulnerability format (<https://ossf.github.io/osv-schema/>). `record` reads them, `version`
//! compares, `range` decides whether a version is covered, `newest` whether one that is left open would be, `severity` how
//! bad it is.

mod newest;
mod range;
mod record;
mod severity;
mod version;

pub use newest::newest_is_covered;
pub use range::{Covered, covered};
pub use record::{Affected, Event, Package, Range, RangeKind, Record, SeverityVector};
pub use severity::{of as severity_of, of_vector};
pub use version::Version;

pub(crate) use record::{MAX_RECORD, Outline};
