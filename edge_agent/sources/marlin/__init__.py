"""Printers on a serial port that speak Marlin's dialect."""
