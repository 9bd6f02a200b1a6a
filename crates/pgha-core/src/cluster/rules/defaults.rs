//! PostgreSQL parameters of a file that sets none.

use std::collections::BTreeMap;

use serde_json::{Value, json};

/// The seed playbook's parameters where they are safe and still exist; deviations are listed in
/// infrastructure/seed.md.
pub(super) fn parameters() -> BTreeMap<String, Value> {
    let table = json!({
        "max_connections": 700, "superuser_reserved_connections": 5, "max_locks_per_transaction": 64, "max_prepared_transactions": 0, "max_worker_processes": 8,
        "huge_pages": "try", "shared_buffers": "128MB", "work_mem": "16MB", "maintenance_work_mem": "128MB", "effective_cache_size": "1GB",
        "checkpoint_timeout": "15min", "checkpoint_completion_target": 0.9, "min_wal_size": "128MB", "max_wal_size": "2GB", "wal_level": "replica",
        "wal_keep_size": "128MB", "max_wal_senders": 10, "max_replication_slots": 10, "wal_compression": "on", "max_slot_wal_keep_size": "8GB",
        "synchronous_commit": "on", "random_page_cost": 1.1, "effective_io_concurrency": 200,
        "autovacuum_max_workers": 5, "autovacuum_vacuum_scale_factor": 0.05, "autovacuum_analyze_scale_factor": 0.02, "autovacuum_vacuum_cost_limit": 500,
        "shared_preload_libraries": "pg_stat_statements", "track_io_timing": "on", "track_functions": "all", "log_lock_waits": "on", "log_temp_files": 0,
        "log_checkpoints": "on", "hot_standby_feedback": "on", "max_standby_streaming_delay": "30s", "idle_in_transaction_session_timeout": "10min",
        "authentication_timeout": "10s",
        "log_line_prefix": "%p %r %q%u@%d ",
    });
    serde_json::from_value(table).unwrap_or_default()
}
