//! The inbox of one process: a bounded queue per partition, straight to its owner.
