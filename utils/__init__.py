"""Small shared rooms, one idea per file; importing one never imports torch or SimpleITK for another."""
