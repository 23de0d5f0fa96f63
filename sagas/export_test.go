package sagas

// BeginsWaiting is how many uploads wait for others that are being begun.
func (s *Store) BeginsWaiting() int {
	s.begins.united.mu.Lock()
	defer s.begins.united.mu.Unlock()
	return len(s.begins.united.waiting)
}
