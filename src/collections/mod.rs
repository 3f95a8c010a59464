//! Data structures that know nothing of queues.

mod block_list;

pub(crate) use block_list::BlockCache;
pub(crate) use block_list::BlockList;
pub(crate) use block_list::Consumer;

pub(crate) use block_list::Front;
pub(crate) use block_list::Peek;
pub(crate) use block_list::Pushed;
pub(crate) use block_list::back_off;
pub(crate) use block_list::dismantle;
