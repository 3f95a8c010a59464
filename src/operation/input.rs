//! Values that flow from operations into operations that depend on them.

use super::Operation;
use super::record::Edge;
use super::record::Need;
use super::record::Record;
use crate::error::OperationError;
use crate::sync::Arc;
use crate::sync::OnceLock;
use std::fmt;

/// Where an operation leaves its value.
pub(super) type Slot<T> = OnceLock<Arc<T>>;

/// What an operation can take from others: for [`OperationBuilder::with`](crate::OperationBuilder::with).
///
/// | given | the closure gets | if that operation has no value |
/// |---|---|---|
/// | `&a` | `&A` | the operation is skipped |
/// | `a.or(value)` | `&A` | it gets `value` |
/// | `a.result()` | `Result<&A, &OperationError>` | it gets the error |
/// | `&many`, a `Vec` or a slice | `Vec<&A>` | it is skipped |
/// | `(x, y)`, up to four of these | a tuple of what each gives | |
///
/// The trait is sealed.
pub trait Input: sealed::Sealed {
    /// What is kept until the operation is over.
    #[doc(hidden)]
    type Held: Held;

    /// Notes what is depended on, and keeps where the values will be.
    #[doc(hidden)]
    fn hold(self, edges: &mut Edges) -> Self::Held;
}

/// An input that an operation has taken.
#[doc(hidden)]
pub trait Held: Send + 'static {
    /// What the closure gets.
    type Values<'a>;

    /// What is there once all dependencies have ended as they had to.
    fn values(&self) -> Option<Self::Values<'_>>;
}

mod sealed {
    pub trait Sealed {}
}

/// What an operation depends on.
#[doc(hidden)]
#[derive(Debug, Default)]
pub struct Edges(pub(super) Vec<Edge>);

impl Edges {
    pub(super) fn add<T>(&mut self, on: &Operation<T>, need: Need) {
        self.0.push(Edge { on: Arc::clone(&on.record), need });
    }
}

/// The value of an operation.
#[doc(hidden)]
pub struct Value<T>(Arc<Slot<T>>);

impl<T: Send + Sync + 'static> Held for Value<T> {
    type Values<'a> = &'a T;

    fn values(&self) -> Option<&T> {
        self.0.get().map(|value| &**value)
    }
}

impl<T> sealed::Sealed for &Operation<T> {}

impl<T: Send + Sync + 'static> Input for &Operation<T> {
    type Held = Value<T>;

    fn hold(self, edges: &mut Edges) -> Value<T> {
        edges.add(self, Need::Success);
        Value(Arc::clone(&self.value))
    }
}

/// An operation's value, or another one if it has none: what [`Operation::or`] gives.
pub struct Or<T> {
    record: Arc<Record>,
    value: Arc<Slot<T>>,
    otherwise: T,
}

impl<T> Or<T> {
    pub(super) fn new(operation: &Operation<T>, otherwise: T) -> Self {
        Self { record: Arc::clone(&operation.record), value: Arc::clone(&operation.value), otherwise }
    }
}

impl<T: Send + Sync + 'static> Held for Or<T> {
    type Values<'a> = &'a T;

    fn values(&self) -> Option<&T> {
        let value = self.value.get().filter(|_| matches!(self.record.ended(), Some(Ok(()))));
        Some(value.map_or(&self.otherwise, |value| &**value))
    }
}

impl<T> sealed::Sealed for Or<T> {}

impl<T: Send + Sync + 'static> Input for Or<T> {
    type Held = Self;

    fn hold(self, edges: &mut Edges) -> Self {
        edges.0.push(Edge { on: Arc::clone(&self.record), need: Need::End });
        self
    }
}

impl<T> fmt::Debug for Or<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Or").field("operation", &self.record.label).finish_non_exhaustive()
    }
}

/// What has become of an operation, whatever that is: what [`Operation::result`] gives.
pub struct Ending<T> {
    record: Arc<Record>,
    value: Arc<Slot<T>>,
}

impl<T> Ending<T> {
    pub(super) fn new(operation: &Operation<T>) -> Self {
        Self { record: Arc::clone(&operation.record), value: Arc::clone(&operation.value) }
    }
}

impl<T: Send + Sync + 'static> Held for Ending<T> {
    type Values<'a> = Result<&'a T, &'a OperationError>;

    fn values(&self) -> Option<Self::Values<'_>> {
        match self.record.ended()? {
            Ok(()) => self.value.get().map(|value| Ok(&**value)),
            Err(error) => Some(Err(error)),
        }
    }
}

impl<T> sealed::Sealed for Ending<T> {}

impl<T: Send + Sync + 'static> Input for Ending<T> {
    type Held = Self;

    fn hold(self, edges: &mut Edges) -> Self {
        edges.0.push(Edge { on: Arc::clone(&self.record), need: Need::End });
        self
    }
}

impl<T> fmt::Debug for Ending<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ending").field("operation", &self.record.label).finish_non_exhaustive()
    }
}

impl<H: Held> Held for Vec<H> {
    type Values<'a> = Vec<H::Values<'a>>;

    fn values(&self) -> Option<Self::Values<'_>> {
        self.iter().map(H::values).collect()
    }
}

impl<T> sealed::Sealed for &[Operation<T>] {}

impl<T: Send + Sync + 'static> Input for &[Operation<T>] {
    type Held = Vec<Value<T>>;

    fn hold(self, edges: &mut Edges) -> Self::Held {
        self.iter().map(|operation| operation.hold(edges)).collect()
    }
}

impl<T> sealed::Sealed for &Vec<Operation<T>> {}

impl<T: Send + Sync + 'static> Input for &Vec<Operation<T>> {
    type Held = Vec<Value<T>>;

    fn hold(self, edges: &mut Edges) -> Self::Held {
        self.as_slice().hold(edges)
    }
}

macro_rules! tuples {
    ($($input:ident $place:tt),*) => {
        impl<$($input: Held),*> Held for ($($input,)*) {
            type Values<'a> = ($($input::Values<'a>,)*);

            fn values(&self) -> Option<Self::Values<'_>> {
                Some(($(self.$place.values()?,)*))
            }
        }

        impl<$($input: Input),*> sealed::Sealed for ($($input,)*) {}

        impl<$($input: Input),*> Input for ($($input,)*) {
            type Held = ($($input::Held,)*);

            fn hold(self, edges: &mut Edges) -> Self::Held {
                ($(self.$place.hold(edges),)*)
            }
        }
    };
}

tuples!(A 0, B 1);
tuples!(A 0, B 1, C 2);
tuples!(A 0, B 1, C 2, D 3);
