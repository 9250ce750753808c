"""Programs that run on the machine that is measured, beside the guards."""
