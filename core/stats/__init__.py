"""Statistics: intervals, overlap, agreement, ranks, calibration."""
