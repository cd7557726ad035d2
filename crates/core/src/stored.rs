//! How values are stored: what a field has that was never set is left out.

/// Is it what a field has that was never set?
pub(crate) fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}
