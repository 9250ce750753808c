"""Which guard is faster: dmguard, LVM's own dmeventd, or a cron job; measured side by side."""
