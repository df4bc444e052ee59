"""The lessons: statements about processes, threads, the GIL and locks, each tried on live nodes or bare Python."""
