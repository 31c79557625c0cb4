//! The registry of handles. A handle is a place in a table and the number of its reuse, so that one that was freed, twice
//! or by another thread, is found out.

use crate::boundary::invalid;
use crate::data::Data;
use crate::engine_calls::EngineObject;
use crate::error::ErrorObject;
use crate::event::EventObject;
use crate::job::JobObject;
use crate::session::SessionObject;
use crate::sink::SinkObject;
use engine::Result;
use parking_lot::RwLock;
use std::sync::Arc;

/// Bits of a handle that say the place; the others say the reuse.
const PLACE_BITS: u32 = if usize::BITS == 64 { 28 } else { 15 };
/// Not zero, so that small numbers are no handles.
const FIRST_REUSE: usize = 0x7E12;
const PLACE_MASK: usize = (1 << PLACE_BITS) - 1;

static TABLE: RwLock<Table> = RwLock::new(Table { slots: Vec::new(), free: Vec::new() });

struct Table {
    slots: Vec<Slot>,
    free: Vec<usize>,
}

struct Slot {
    reuse: usize,
    object: Option<Object>,
}

/// The objects behind handles.
#[derive(Clone)]
pub(crate) enum Object {
    Data(Arc<Data>),
    Engine(Arc<EngineObject>),
    Error(Arc<ErrorObject>),
    Event(Arc<EventObject>),
    Job(Arc<JobObject>),
    Session(Arc<SessionObject>),
    Sink(Arc<SinkObject>),
    #[cfg(feature = "testing")]
    TestingRun(Arc<crate::testing::RunObject>),
}

/// A type of objects behind handles.
pub(crate) trait Handled: Sized {
    /// The type that C sees.
    type C;
    /// Its name in messages.
    const NAME: &'static str;
    fn wrap(object: Arc<Self>) -> Object;
    fn unwrap(object: Object) -> Option<Arc<Self>>;
}

macro_rules! handled {
    ($($object:ty, $variant:ident, $c:ty, $name:literal;)*) => {$(
        impl Handled for $object {
            type C = $c;
            const NAME: &'static str = $name;
            fn wrap(object: Arc<Self>) -> Object {
                Object::$variant(object)
            }
            fn unwrap(object: Object) -> Option<Arc<Self>> {
                if let Object::$variant(object) = object { Some(object) } else { None }
            }
        }
    )*};
}

handled! {
    Data, Data, crate::data::tertulia_data, "data";
    EngineObject, Engine, crate::engine_calls::tertulia_engine, "engine";
    ErrorObject, Error, crate::error::tertulia_error, "error";
    EventObject, Event, crate::event::tertulia_event, "event";
    JobObject, Job, crate::job::tertulia_job, "job";
    SessionObject, Session, crate::session::tertulia_session, "session";
    SinkObject, Sink, crate::sink::tertulia_sink, "sink";
}

#[cfg(feature = "testing")]
handled! {
    crate::testing::RunObject, TestingRun, crate::testing::tertulia_testing_run, "run";
}

/// A new handle of the object; null where there are too many.
pub(crate) fn insert<T: Handled>(object: T) -> *mut T::C {
    let object = Some(T::wrap(Arc::new(object)));
    let mut table = TABLE.write();
    let place = match table.free.pop() {
        Some(place) => place,
        None if table.slots.len() < PLACE_MASK => {
            table.slots.push(Slot { reuse: FIRST_REUSE, object: None });
            table.slots.len() - 1
        }
        None => return std::ptr::null_mut(),
    };
    table.slots[place].object = object;
    std::ptr::without_provenance_mut(((table.slots[place].reuse << PLACE_BITS) & !PLACE_MASK) | (place + 1))
}

/// The object of a handle.
pub(crate) fn get<T: Handled>(handle: *const T::C) -> Result<Arc<T>> {
    let table = TABLE.read();
    let slot = slot_of(handle.addr(), &table.slots).and_then(|place| table.slots[place].object.clone());
    slot.and_then(T::unwrap).ok_or_else(|| refused::<T>(handle))
}

/// The object of a handle, which is freed.
pub(crate) fn remove<T: Handled>(handle: *mut T::C) -> Result<Arc<T>> {
    let mut table = TABLE.write();
    let place = slot_of(handle.addr(), &table.slots);
    let found = place.and_then(|place| Some((place, T::unwrap(table.slots[place].object.clone()?)?)));
    let Some((place, object)) = found else { return Err(refused::<T>(handle)) };
    let slot = &mut table.slots[place];
    (slot.object, slot.reuse) = (None, slot.reuse.wrapping_add(1));
    table.free.push(place);
    Ok(object)
}

fn slot_of(handle: usize, slots: &[Slot]) -> Option<usize> {
    let place = (handle & PLACE_MASK).checked_sub(1)?;
    let slot = slots.get(place)?;
    (handle >> PLACE_BITS == slot.reuse & (usize::MAX >> PLACE_BITS)).then_some(place)
}

fn refused<T: Handled>(handle: *const T::C) -> engine::Error {
    let what = if handle.is_null() { "NULL" } else { "no live handle of its type" };
    invalid(format!("{} is {what}", T::NAME))
}
